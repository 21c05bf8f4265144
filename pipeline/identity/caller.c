/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, by whatever of it holds: the order of nomos-http.md 2.2, the first that succeeds wins. What is presented in vain counts for
 * nothing, it does not take away what something else shows. Any loop.
 */
#include "identity/identity_rows.h"
#include "identity/oidc.h"
#include "identity/peer_names.h"
#include "identity/token_holder.h"

void
caller_drop(struct caller *caller)
{
	token_holder_unref(&caller->holder);
	*caller = (struct caller){.principal = SPAN_NONE};
}

/* Takes own_holder. */
static struct caller
caller_of(const struct identity_table *t, struct token_holder *own_holder)
{
	struct caller caller = {
		.principal = own_holder->principal,
		.groups = own_holder->groups,
		.n_groups = own_holder->n_groups,
		.holder = own_holder,
	};

	caller.roles = identity_get_roles(t, caller.principal) |
		       identity_get_group_roles(t, caller.groups, caller.n_groups);
	return caller;
}

enum err
identity_find_token(const struct identity_table *t, struct span token, struct caller *out)
{
	struct token_holder *holder;

	*out = (struct caller){.principal = SPAN_NONE};
	if (t->oidc == NULL || token.n == 0 || oidc_find(t->oidc, token, &holder) != OK)
		return ERR_AUTH;
	*out = caller_of(t, holder);
	return OK;
}

enum err
identity_find_holder(
	const struct identity_table *t, struct token_holder *holder, struct caller *out)
{
	*out = (struct caller){.principal = SPAN_NONE};
	if (t->oidc == NULL || !oidc_still_accepts(t->oidc, holder))
		return ERR_AUTH;
	*out = caller_of(t, token_holder_ref(holder));
	return OK;
}

static struct caller
connected(const struct identity_table *t, struct span principal)
{
	return (struct caller){
		.principal = principal,
		.roles = identity_get_roles(t, principal),
		.is_ambient = true,
	};
}

enum err
identity_find_process(
	const struct identity_table *t, const struct req_credentials *c, struct caller *out)
{
	struct span principal;

	*out = (struct caller){.principal = SPAN_NONE};
	if (!peer_names_by_process(t->peer_names, c->peer, &principal))
		return ERR_AUTH;
	*out = connected(t, principal);
	return OK;
}

bool
identity_find_shown(
	const struct identity_table *t, const struct req_credentials *c, struct grant *out)
{
	struct span principal;

	if (identity_find_grant(t, c, out))
		return true;
	*out = (struct grant){.agents = NULL};
	if (peer_names_by_spiffe(t->peer_names, c->peer, &principal) ||
		peer_names_by_certificate(t->peer_names, c->peer, &principal)) {
		out->caller = connected(t, principal);
		return true;
	}
	return identity_find_token(t, identity_read_bearer(c->authorization), &out->caller) == OK;
}

enum err
identity_find_caller(
	const struct identity_table *t, const struct req_credentials *c, struct caller *out)
{
	struct grant grant;

	if (!identity_find_shown(t, c, &grant))
		return identity_find_process(t, c, out);
	*out = grant.caller;
	return OK;
}

enum err
identity_open_tokens(struct identity_table *t, const struct oidc_section *options,
	struct key_ring *ring, struct errinfo *ei)
{
	return options->enabled ? oidc_new(options, ring, &t->oidc, ei) : OK;
}

bool
identity_get_key_state(const struct identity_table *t, struct key_source_state *out)
{
	return t->oidc != NULL && oidc_get_key_state(t->oidc, out);
}
