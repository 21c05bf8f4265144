/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The tables of the section `approvals` and the rules over its values. Start-up and reload code; never on a loop. */
#include "pipeline/approval_options.h"

#include <string.h>

#include "config/load.h"
#include "net/http_client.h"

enum { TOKEN_BYTES_MIN = 16 };

static bool
is_trimmed(struct span s)
{
	return s.n > 0 && span_trim(s).n == s.n;
}

static void
check_token(struct span token, const char *key, struct config_scope *scope)
{
	if (token.n == 0)
		return;
	if (!is_trimmed(token))
		config_fail(scope, key,
			"a token begins or ends with white space and could never match");
	else if (token.n < TOKEN_BYTES_MIN)
		config_note(scope, CONFIG_WARN, key,
			"a token is shorter than %d bytes: whoever guesses it can decide",
			TOKEN_BYTES_MIN);
}

static void
check_relay(void *options, struct config_scope *scope)
{
	const struct approval_relay_section *o = options;

	check_token(o->token, "token", scope);
	if (o->principal.n > 0 && !is_trimmed(o->principal))
		config_fail(scope, "principal",
			"the relay's principal is blank, or begins or ends with white space");
	for (size_t i = 0; i < o->users.n; i++)
		if (!is_trimmed(o->users.v[i].key) || !is_trimmed(o->users.v[i].value))
			config_fail(scope, "users",
				"a user needs an id and a principal, without white space at either "
				"end (entry %zu)",
				i + 1);
}

static void
check_both(struct span flat, struct span token, const char *key, struct config_scope *scope)
{
	check_token(flat, key, scope);
	if (flat.n > 0 && token.n > 0 && !span_eq(flat, token))
		config_fail(scope, key, "approvals.%s and the token of its relay differ", key);
}

static void
check_tokens(void *options, struct config_scope *scope)
{
	const struct approvals_section *o = options;

	check_both(o->webhook_token, o->relay.generic.token, "webhook_token", scope);
	check_both(o->slack_token, o->relay.slack.token, "slack_token", scope);
	check_both(o->teams_token, o->relay.teams.token, "teams_token", scope);
}

static void
check_approvers(void *options, struct config_scope *scope)
{
	const struct approvals_section *o = options;

	for (size_t i = 0; i < o->approver_principals.n; i++)
		if (!is_trimmed(o->approver_principals.v[i]))
			config_fail(scope, "approver_principals",
				"approver %zu is blank, or begins or ends with white space", i + 1);
	if (o->max_pending_per_identity > o->max_pending)
		config_note(scope, CONFIG_WARN, "max_pending_per_identity",
			"approvals.max_pending_per_identity is over approvals.max_pending");
}

static void
check_receiver(void *options, struct config_scope *scope)
{
	const struct approval_notify_section *o = options;
	struct errinfo ei;

	/* What it says of a URL holds nothing of it. */
	if (http_client_check_url(o->url, &ei) != OK)
		config_fail(scope, "url", "%s", ei.msg);
	for (size_t i = 0; i < o->name.n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789-", o->name.p[i]) == NULL) {
			config_fail(scope, "name", "only a-z, 0-9 and - may be in a name");
			break;
		}
}

static void
check_receivers(void *options, struct config_scope *scope)
{
	const struct approvals_section *o = options;

	for (size_t i = 0; i < o->notify.n; i++)
		for (size_t k = 0; k < i; k++)
			if (span_eq(o->notify.v[i].name, o->notify.v[k].name))
				config_fail(scope, "notify", "two receivers are named %.*s",
					SPAN_ARG(o->notify.v[i].name));
}

static const config_check_fn receiver_checks[] = {check_receiver, NULL};
static const config_check_fn relay_checks[] = {check_relay, NULL};
static const config_check_fn approvals_checks[] = {
	check_tokens, check_approvers, check_receivers, NULL};

CONFIG_OBJECT(
	approval_relay_section, APPROVAL_RELAY_ROWS, .prose = "One relay.", .checks = relay_checks);
CONFIG_OBJECT(approval_relays_section, APPROVAL_RELAYS_ROWS,
	.prose = "Programs that bring decisions from elsewhere.");
CONFIG_OBJECT(approval_notify_section, APPROVAL_NOTIFY_ROWS, .prose = "A receiver of notices.",
	.checks = receiver_checks);
CONFIG_OBJECT(approvals_section, APPROVALS_ROWS, .prose = "Actions that wait for a person.",
	.checks = approvals_checks);
