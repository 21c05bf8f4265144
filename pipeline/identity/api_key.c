/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * API keys (nomos-http.md 2.2 a, decisions 40). A presented key is hashed once; keys configured in clear are found by that
 * hash, keys of our own form nk_ID_SECRET by their id, their hash then compared in constant time. Nothing here depends
 * on how much of a wrong key is right. Any loop.
 */
#include "identity/identity_rows.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "net/address.h"

static bool
is_letter_or_digit(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
identity_key_id_is_valid(struct span id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!is_letter_or_digit(id.p[i]))
			return false;
	return id.n > 0 && id.n <= KEY_ID_BYTES_MAX;
}

bool
identity_key_hash_parse(struct span text, uint8_t hash[SHA256_BYTES])
{
	struct span prefix = SPAN_LIT("sha256:");

	if (!span_starts(text, prefix))
		return false;
	return hash_unhex(span_from(text, prefix.n), hash, SHA256_BYTES);
}

/* The ID of nk_ID_SECRET; empty when the key has another form. */
static struct span
key_id(struct span key)
{
	struct span prefix = SPAN_LIT("nk_");
	struct span rest;
	size_t end;

	if (!span_starts(key, prefix))
		return SPAN_NONE;
	rest = span_from(key, prefix.n);
	end = span_find(rest, '_');
	if (end == rest.n || end + 1 == rest.n)
		return SPAN_NONE;
	return span_of(rest.p, end);
}

void
identity_mark_key(struct span key, struct key_mark *out)
{
	struct span id = key_id(key);

	*out = (struct key_mark){{0}, ""};
	hash_sha256(key, out->hash);
	/* A longer one is no id of ours (identity_key_id_is_valid). */
	if (id.n > 0 && id.n <= KEY_ID_BYTES_MAX)
		memcpy(out->id, id.p, id.n);
}

static bool
is_known_from(const struct hashed_key *key, struct span client_address)
{
	struct address client;

	if (key->n_networks == 0)
		return true;
	return address_parse(client_address, &client) &&
	       address_is_in(&client, key->networks, key->n_networks);
}

/* It is judged when its hash is right, so that nobody learns of a key that there was. */
static bool
find_hashed(const struct identity_table *t, const struct key_mark *mark, struct span client_address,
	struct grant *out)
{
	static const struct hashed_key nobody;
	const struct hashed_key *found = map_find(t->hashed_keys, span_cstr(mark->id));
	const struct hashed_key *against = found != NULL ? found : &nobody;
	bool is_equal = secret_eq(span_of((const char *)against->hash, SHA256_BYTES),
		span_of((const char *)mark->hash, SHA256_BYTES));

	if (found == NULL || !is_equal)
		return false;
	if (found->expires_wall_ns > 0 && clock_wall_ns() >= found->expires_wall_ns)
		return false;
	if (!is_known_from(found, client_address))
		return false;
	out->caller.principal = found->principal;
	out->caller.roles = identity_get_roles(t, found->principal) & found->roles;
	out->agents = found->agents.n > 0 ? &found->agents : NULL;
	return true;
}

static bool
find_grant(const struct identity_table *t, const struct key_mark *mark, struct span client_address,
	struct grant *out)
{
	const struct span *plain =
		map_find(t->plain_keys, span_of((const char *)mark->hash, SHA256_BYTES));

	*out = (struct grant){.agents = NULL};
	if (plain == NULL)
		return find_hashed(t, mark, client_address, out);
	out->caller = (struct caller){.principal = *plain, .roles = identity_get_roles(t, *plain)};
	return true;
}

enum err
identity_find_mark(const struct identity_table *t, const struct key_mark *mark,
	struct span client_address, struct caller *out)
{
	struct grant grant;
	bool is_found = find_grant(t, mark, client_address, &grant);

	*out = grant.caller;
	return is_found ? OK : ERR_AUTH;
}

struct span
identity_read_bearer(struct span authorization)
{
	size_t space = span_find(authorization, ' ');

	if (space == authorization.n)
		return SPAN_NONE;
	if (!span_eq_nocase(span_of(authorization.p, space), SPAN_LIT("bearer")))
		return SPAN_NONE;
	return span_trim(span_from(authorization, space + 1));
}

bool
identity_find_grant(const struct identity_table *t, const struct req_credentials *credentials,
	struct grant *out)
{
	struct span key = identity_read_bearer(credentials->authorization);
	struct key_mark mark;

	*out = (struct grant){.agents = NULL};
	if (key.n == 0)
		return false;
	identity_mark_key(key, &mark);
	bool is_found = find_grant(t, &mark, credentials->client_address, out);
	mem_wipe(&mark, sizeof(mark));
	return is_found;
}

size_t
identity_count_plain_keys(const struct identity_table *t)
{
	return t->plain_keys != NULL ? map_count(t->plain_keys) : 0;
}
