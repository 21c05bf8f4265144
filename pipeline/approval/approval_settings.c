/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Copies the section `approvals` into a snapshot, and says who speaks through a relay (decisions 29). */
#include "approval/approval_settings.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/secret.h"
#include "pipeline/approvals.h"
#include "snapshot_parts.h"

static enum err
fill_relay(struct approval_relay *r, const struct approval_relay_section *o, struct span flat_token,
	struct span name, struct arena *a)
{
	struct span token = o->token.n > 0 ? o->token : flat_token;
	struct approval_user *users = ARENA_ARRAY(a, struct approval_user, o->users.n + 1);

	if (users == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < o->users.n; i++)
		users[i] = (struct approval_user){
			arena_dup(a, o->users.v[i].key), arena_dup(a, o->users.v[i].value)};
	r->users = users;
	r->n_users = o->users.n;
	r->principal = arena_dup(a, o->principal.n > 0 ? o->principal : name);
	if (token.n > 0) {
		r->token = secret_new(token);
		if (r->token == NULL)
			return ERR_NOMEM;
	}
	return arena_failed(a) ? ERR_NOMEM : OK;
}

enum err
approval_settings_fill(struct approval_settings *s, const struct approvals_section *o,
	struct arena *a, struct errinfo *ei)
{
	enum err rc;

	s->is_enabled = o->enabled;
	s->ttl_ns = o->ttl_seconds * NS_PER_SEC;
	s->denial_ns = o->denial_seconds * NS_PER_SEC;
	s->max_pending = (size_t)o->max_pending;
	s->max_pending_per_identity = (size_t)o->max_pending_per_identity;
	s->max_waiting = (size_t)o->max_waiting;
	s->max_waiting_per_principal = (size_t)o->max_waiting_per_principal;
	s->max_wait_ns = o->max_wait_seconds * NS_PER_SEC;
	rc = fill_relay(&s->relays[CHANNEL_WEBHOOK], &o->relay.generic, o->webhook_token,
		SPAN_LIT("generic"), a);
	if (rc == OK)
		rc = fill_relay(&s->relays[CHANNEL_SLACK], &o->relay.slack, o->slack_token,
			SPAN_LIT("slack"), a);
	if (rc == OK)
		rc = fill_relay(&s->relays[CHANNEL_TEAMS], &o->relay.teams, o->teams_token,
			SPAN_LIT("teams"), a);
	return rc == OK ? OK : ERR(ei, ERR_NOMEM, "out of memory for approvals");
}

void
approval_settings_clear(struct approval_settings *s)
{
	for (size_t i = 0; i < CHANNEL__MAX; i++)
		secret_free(&s->relays[i].token);
}

bool
approval_relay_has_token(const struct approval_relay *r, struct span token)
{
	return r->token != NULL && secret_eq(secret_get_bytes(r->token), token);
}

enum err
approval_relay_find_voter(const struct approval_relay *r, struct span user, struct span *approver,
	struct span *asserted_by)
{
	*approver = r->principal;
	*asserted_by = SPAN_NONE;
	if (r->n_users == 0)
		return OK;
	*approver = SPAN_NONE;
	for (size_t i = 0; i < r->n_users; i++)
		if (span_eq(r->users[i].id, user)) {
			*approver = r->users[i].principal;
			*asserted_by = r->principal;
			return OK;
		}
	return ERR_FORBIDDEN;
}

static bool
has_user(const struct approval_relay *r, struct span principal)
{
	for (size_t i = 0; i < r->n_users; i++)
		if (span_eq(r->users[i].principal, principal))
			return true;
	return false;
}

bool
approval_relay_speaks_for(
	const struct approval_relay *r, struct span approver, struct span asserted_by)
{
	if (r->token == NULL)
		return false;
	if (asserted_by.n == 0)
		return r->n_users == 0 && span_eq(r->principal, approver);
	return span_eq(r->principal, asserted_by) && has_user(r, approver);
}

struct approvals_wait_limits
approvals_get_wait_limits(const struct snapshot *s)
{
	return (struct approvals_wait_limits){
		.max_wait_ns = s->approvals.max_wait_ns,
		.max = s->approvals.max_waiting,
		.max_per_principal = s->approvals.max_waiting_per_principal,
	};
}
