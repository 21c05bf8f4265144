/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a row of identity.hashed_keys says beside the hash: it only narrows what the principal may. Start and reload. */
#include "base/arena.h"
#include "base/clock.h"
#include "identity/identity_rows.h"
#include "net/address.h"

bool
name_list_copy(struct arena *a, const struct config_strings *from, struct name_list *to)
{
	struct span *names = ARENA_ARRAY(a, struct span, from->n);

	if (names == NULL)
		return false;
	for (size_t i = 0; i < from->n; i++)
		names[i] = arena_dup(a, from->v[i]);
	*to = (struct name_list){names, from->n};
	return !arena_failed(a);
}

bool
name_list_has(const struct name_list *list, struct span name)
{
	for (size_t i = 0; i < list->n; i++)
		if (span_eq(list->names[i], name))
			return true;
	return false;
}

/* Who approves or operates may view, as with the roles of a principal. */
static unsigned
read_roles(const struct config_strings *names)
{
	unsigned roles = 1u << ROLE_ANYONE;

	if (names->n == 0)
		return ~0u;
	for (size_t i = 0; i < names->n; i++)
		roles |= 1u << identity_role_parse(names->v[i]) | 1u << ROLE_VIEWER;
	return roles & ~(1u << ROLE_NOBODY);
}

static enum err
read_networks(struct hashed_key *key, const struct config_strings *texts, struct arena *a,
	struct errinfo *ei)
{
	struct address_network *networks = ARENA_ARRAY(a, struct address_network, texts->n);

	if (networks == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	for (size_t i = 0; i < texts->n; i++)
		if (address_network_parse(texts->v[i], &networks[i], ei) != OK)
			return ERR_WRAP(ei, ERR_INVALID, "identity.hashed_keys");
	key->networks = networks;
	key->n_networks = texts->n;
	return OK;
}

enum err
hashed_key_fill(struct hashed_key *key, const struct identity_key_section *row, struct arena *a,
	struct errinfo *ei)
{
	key->roles = read_roles(&row->roles);
	if (!name_list_copy(a, &row->agents, &key->agents))
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	if (row->expires.n > 0 && clock_parse(row->expires, &key->expires_wall_ns, ei) != OK)
		return ERR_WRAP(ei, ERR_INVALID, "identity.hashed_keys");
	return read_networks(key, &row->networks, a, ei);
}
