/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Tables of names. Names that lead to two principals lead to none. Building: start and reload; answering: any loop. */
#include "identity/peer_names.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "identity/spiffe.h"
#include "net/peer.h"

#define NAMES_MAGIC 0x706e616du
#define NAMES_ARENA_BYTES ((size_t)64 * 1024 * 1024)
#define UID_TEXT_MAX 16

struct peer_names {
	unsigned magic;
	struct arena *arena;
	struct span trust_domain; /* empty: SPIFFE IDs do not count */
	bool only_listed;
	/* name -> struct span, the principal */
	struct map *paths;
	struct map *dns_names;
	struct map *common_names;
	struct map *users;
};

static enum err
copy_map(struct arena *a, const struct config_map *from, struct map **out, struct errinfo *ei)
{
	*out = map_new(from->n > 0 ? from->n : 1);
	for (size_t i = 0; i < from->n && *out != NULL; i++) {
		struct span *principal = ARENA_NEW(a, struct span);

		if (principal == NULL)
			break;
		*principal = arena_dup(a, from->v[i].value);
		if (!map_put(*out, from->v[i].key, principal, NULL))
			break;
	}
	if (*out == NULL || map_count(*out) != from->n || arena_failed(a))
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	return OK;
}

static enum err
fill(struct peer_names *n, const struct spiffe_section *spiffe, const struct mtls_section *mtls,
	const struct unix_section *users, struct errinfo *ei)
{
	enum err rc;

	n->arena = arena_new(NAMES_ARENA_BYTES);
	if (n->arena == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	n->only_listed = spiffe->only_listed;
	if (spiffe->enabled)
		n->trust_domain = arena_dup(n->arena, spiffe->trust_domain);
	rc = copy_map(n->arena, &spiffe->principals, &n->paths, ei);
	if (rc == OK)
		rc = copy_map(n->arena, &mtls->dns_names, &n->dns_names, ei);
	if (rc == OK)
		rc = copy_map(n->arena, &mtls->common_names, &n->common_names, ei);
	if (rc == OK)
		rc = copy_map(n->arena, &users->users, &n->users, ei);
	return rc;
}

enum err
peer_names_new(const struct spiffe_section *spiffe, const struct mtls_section *mtls,
	const struct unix_section *users, struct peer_names **out, struct errinfo *ei)
{
	struct peer_names *n = mem_zalloc(1, sizeof(*n));
	enum err rc;

	*out = n;
	if (n == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	n->magic = NAMES_MAGIC;
	rc = fill(n, spiffe, mtls, users, ei);
	if (rc != OK)
		peer_names_free(out);
	return rc;
}

void
peer_names_free(struct peer_names **np)
{
	struct peer_names *n = *np;

	if (n == NULL)
		return;
	OBJ_CHECK(n, NAMES_MAGIC);
	*np = NULL;
	map_free(&n->paths, NULL);
	map_free(&n->dns_names, NULL);
	map_free(&n->common_names, NULL);
	map_free(&n->users, NULL);
	arena_free(&n->arena);
	n->magic = 0;
	mem_free(n);
}

static bool
counts_spiffe(const struct peer_names *n)
{
	return n->trust_domain.n > 0;
}

/* One that has ended since the handshake names nobody any more. */
static bool
has_certificate(const struct net_peer *peer)
{
	return peer != NULL && peer->has_certificate &&
	       clock_wall_ns() < peer->certificate_end_wall_ns;
}

bool
peer_names_by_spiffe(
	const struct peer_names *n, const struct net_peer *peer, struct span *principal)
{
	struct spiffe_id id;

	OBJ_CHECK(n, NAMES_MAGIC);
	*principal = SPAN_NONE;
	if (!counts_spiffe(n) || !has_certificate(peer) || !spiffe_id_parse(peer->spiffe_id, &id) ||
		!span_eq(id.trust_domain, n->trust_domain))
		return false;
	const struct span *listed = map_find(n->paths, id.path);
	if (listed == NULL && n->only_listed)
		return false;
	*principal = listed != NULL ? *listed : peer->spiffe_id;
	return true;
}

/* False when the names are of two principals. */
static bool
agree(const struct span *found, struct span *principal)
{
	if (found == NULL)
		return true;
	if (principal->n > 0 && !span_eq(*principal, *found))
		return false;
	*principal = *found;
	return true;
}

bool
peer_names_by_certificate(
	const struct peer_names *n, const struct net_peer *peer, struct span *principal)
{
	OBJ_CHECK(n, NAMES_MAGIC);
	*principal = SPAN_NONE;
	if (!has_certificate(peer) || (counts_spiffe(n) && peer->spiffe_id.n > 0))
		return false;
	for (size_t i = 0; i < peer->n_dns && i < PEER_DNS_MAX; i++)
		if (!agree(map_find(n->dns_names, peer->dns[i]), principal))
			return false;
	if (principal->n == 0)
		(void)agree(map_find(n->common_names, peer->common_name), principal);
	return principal->n > 0;
}

bool
peer_names_by_process(
	const struct peer_names *n, const struct net_peer *peer, struct span *principal)
{
	char uid[UID_TEXT_MAX];
	const struct span *found;

	OBJ_CHECK(n, NAMES_MAGIC);
	*principal = SPAN_NONE;
	if (peer == NULL || peer->kind != PEER_UNIX || !peer->has_process)
		return false;
	(void)snprintf(uid, sizeof(uid), "%lu", (unsigned long)peer->uid);
	found = map_find(n->users, span_cstr(uid));
	if (found == NULL)
		return false;
	*principal = *found;
	return true;
}
