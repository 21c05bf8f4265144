/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds the tables of one snapshot. It never keeps an API key in clear. Start and reload.
 */
#include "identity/identity_table.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/identity_rows.h"
#include "identity/oidc.h"
#include "identity/peer_names.h"

#define IDENTITY_ARENA_BYTES ((size_t)64 * 1024 * 1024)

static enum err
put_row(struct map *m, struct span key, void *row, struct errinfo *ei)
{
	if (row == NULL || !map_put(m, key, row, NULL))
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	return OK;
}

static struct map *
new_map(size_t n)
{
	return map_new(n > 0 ? n : 1);
}

static enum err
add_plain_keys(struct identity_table *t, const struct config_map *keys, struct errinfo *ei)
{
	t->plain_keys = new_map(keys->n);
	if (t->plain_keys == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	for (size_t i = 0; i < keys->n; i++) {
		struct span *principal = ARENA_NEW(t->arena, struct span);
		uint8_t hash[SHA256_BYTES];
		enum err rc;

		hash_sha256(keys->v[i].key, hash);
		if (principal != NULL)
			*principal = arena_dup(t->arena, keys->v[i].value);
		rc = put_row(
			t->plain_keys, span_of((const char *)hash, sizeof(hash)), principal, ei);
		mem_wipe(hash, sizeof(hash));
		if (rc != OK)
			return rc;
	}
	return OK;
}

static enum err
add_hashed_keys(struct identity_table *t, const struct identity_section *o, struct errinfo *ei)
{
	t->hashed_keys = new_map(o->hashed_keys.n);
	if (t->hashed_keys == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	for (size_t i = 0; i < o->hashed_keys.n; i++) {
		const struct identity_key_section *from = &o->hashed_keys.v[i];
		struct hashed_key *key = ARENA_NEW(t->arena, struct hashed_key);
		enum err rc;

		if (key != NULL) {
			key->principal = arena_dup(t->arena, from->principal);
			if (!identity_key_hash_parse(from->hash, key->hash))
				return ERR(ei, ERR_INVALID, "identity.hashed_keys: malformed hash");
			rc = hashed_key_fill(key, from, t->arena, ei);
			if (rc != OK)
				return rc;
		}
		rc = put_row(t->hashed_keys, from->id, key, ei);
		if (rc != OK)
			return rc;
	}
	return OK;
}

static enum err
add_pairs(struct identity_table *t, const struct config_map_strings *pairs, struct errinfo *ei)
{
	t->pairs = new_map(pairs->n);
	if (t->pairs == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	for (size_t i = 0; i < pairs->n; i++) {
		struct name_list *agents = ARENA_NEW(t->arena, struct name_list);
		enum err rc = put_row(t->pairs, pairs->v[i].key, agents, ei);

		if (rc != OK)
			return rc;
		if (!name_list_copy(t->arena, &pairs->v[i].values, agents))
			return ERR(ei, ERR_NOMEM, "out of memory for identities");
	}
	return OK;
}

static enum err
add_roles(struct identity_table *t, const struct config_map_strings *roles,
	struct name_list lists[ROLE_OPERATOR + 1], struct errinfo *ei)
{
	for (size_t i = 0; i < roles->n; i++) {
		enum role role = identity_role_parse(roles->v[i].key);

		if (role == ROLE_NOBODY)
			return ERR(ei, ERR_INVALID, "identity.roles: unknown role");
		if (!name_list_copy(t->arena, &roles->v[i].values, &lists[role]))
			return ERR(ei, ERR_NOMEM, "out of memory for identities");
		t->has_roles = true;
	}
	return OK;
}

static enum err
fill_table(struct identity_table *t, const struct identity_section *o,
	const struct config_strings *approvers, struct errinfo *ei)
{
	enum err rc;

	t->environment = arena_dup(t->arena, o->environment);
	if (config_strings_has(&o->signature_versions, SPAN_LIT("v1")))
		t->versions |= SIGNATURE_ALLOW_V1;
	if (config_strings_has(&o->signature_versions, SPAN_LIT("v2")))
		t->versions |= SIGNATURE_ALLOW_V2;
	t->nonces = (struct nonce_limits){
		.window_s = o->signature_window_seconds,
		.max = (size_t)o->max_nonces,
		.max_per_signer = (size_t)o->max_nonces_per_signer,
	};
	rc = add_plain_keys(t, &o->api_keys, ei);
	if (rc == OK)
		rc = add_hashed_keys(t, o, ei);
	if (rc == OK)
		rc = signer_table_fill(
			&t->services, &o->service_secrets, &o->service_public_keys, t->arena, ei);
	if (rc == OK)
		rc = signer_table_fill(
			&t->agents, &o->agent_secrets, &o->agent_public_keys, t->arena, ei);
	if (rc == OK)
		rc = add_pairs(t, &o->principal_agents, ei);
	if (rc == OK)
		rc = add_roles(t, &o->roles, t->roles, ei);
	if (rc == OK && o->oidc.enabled)
		rc = add_roles(t, &o->oidc.roles, t->group_roles, ei);
	if (rc == OK)
		rc = peer_names_new(&o->spiffe, &o->mtls, &o->unix, &t->peer_names, ei);
	if (rc == OK && approvers != NULL && !name_list_copy(t->arena, approvers, &t->approvers))
		rc = ERR(ei, ERR_NOMEM, "out of memory for identities");
	if (rc == OK && arena_failed(t->arena))
		rc = ERR(ei, ERR_NOMEM, "out of memory for identities");
	return rc;
}

enum err
identity_table_new(const struct identity_section *options, const struct config_strings *approvers,
	struct identity_table **out, struct errinfo *ei)
{
	struct identity_table *t = mem_zalloc(1, sizeof(*t));
	enum err rc;

	*out = NULL;
	if (t == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	t->magic = IDENTITY_MAGIC;
	t->arena = arena_new(IDENTITY_ARENA_BYTES);
	rc = t->arena != NULL ? fill_table(t, options, approvers, ei)
			      : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		identity_table_free(&t);
		return rc;
	}
	*out = t;
	return OK;
}

void
identity_table_free(struct identity_table **t)
{
	struct identity_table *old = *t;

	if (old == NULL)
		return;
	OBJ_CHECK(old, IDENTITY_MAGIC);
	*t = NULL;
	map_free(&old->plain_keys, NULL);
	map_free(&old->hashed_keys, NULL);
	signer_table_clear(&old->services);
	signer_table_clear(&old->agents);
	map_free(&old->pairs, NULL);
	peer_names_free(&old->peer_names);
	oidc_free(&old->oidc);
	arena_free(&old->arena);
	old->magic = 0;
	mem_free(old);
}
