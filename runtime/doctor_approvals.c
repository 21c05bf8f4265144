/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Checks of approvals: whether anybody could decide. */
#include "doctor_checks.h"
#include "pipeline/options.h"

static bool
is_approver(const struct pipeline_options *o, struct span name)
{
	struct config_strings role =
		config_map_strings_find(&o->identity.roles, SPAN_LIT("approver"));

	return config_strings_has(&role, name) ||
	       config_strings_has(&o->approvals.approver_principals, name);
}

static bool
has_approvers(const struct pipeline_options *o)
{
	struct config_strings role =
		config_map_strings_find(&o->identity.roles, SPAN_LIT("approver"));

	return role.n > 0 || o->approvals.approver_principals.n > 0;
}

struct relay {
	const struct approval_relay_section *options;
	struct span flat_token;
	const char *name;
};

/* A relay, or somebody it speaks for, who is no approver: what it brings is refused. */
static struct span
find_powerless(const struct pipeline_options *o, const struct relay *relay)
{
	const struct approval_relay_section *r = relay->options;
	struct span own = r->principal.n > 0 ? r->principal : span_cstr(relay->name);

	if (r->token.n == 0 && relay->flat_token.n == 0)
		return SPAN_NONE;
	if (r->users.n == 0)
		return is_approver(o, own) ? SPAN_NONE : own;
	for (size_t i = 0; i < r->users.n; i++)
		if (!is_approver(o, r->users.v[i].value))
			return r->users.v[i].value;
	return SPAN_NONE;
}

enum finding
check_approvers(struct doctor *d)
{
	const struct pipeline_options *o = d->in->pipeline;
	const struct approvals_section *a = &o->approvals;
	const struct relay relays[] = {
		{&a->relay.generic, a->webhook_token, "generic"},
		{&a->relay.slack, a->slack_token, "slack"},
		{&a->relay.teams, a->teams_token, "teams"},
	};

	if (!a->enabled)
		return doctor_say(d, FINDING_PASS, "approvals are off");
	if (!has_approvers(o))
		return doctor_say(
			d, FINDING_ADVICE, "approvals are on, and nobody can approve anything");
	for (size_t i = 0; i < ARRAY_LEN(relays); i++) {
		struct span who = find_powerless(o, &relays[i]);

		if (who.n > 0)
			return doctor_say(d, FINDING_ADVICE,
				"the relay %s brings decisions of \"%.*s\", who is no approver",
				relays[i].name, SPAN_ARG(who));
	}
	return FINDING_PASS;
}
