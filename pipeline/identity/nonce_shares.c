/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See nonce_shares.h. A share counts by epochs, in a ring. */
#include "identity/nonce_shares.h"

#include "base/map.h"
#include "base/mem.h"

enum { SIGNERS_MAX = 65536 };

struct share {
	int64_t oldest; /* epoch */
	size_t n;
	uint32_t n_of[NONCE_EPOCHS];
};

bool
nonce_shares_init(struct nonce_shares *s)
{
	s->by_signer = map_new(SIGNERS_MAX);
	return s->by_signer != NULL;
}

void
nonce_shares_fini(struct nonce_shares *s)
{
	map_free(&s->by_signer, mem_free);
}

static void
forget_counts(struct share *share, int64_t first)
{
	/* A clock that went far ahead takes one turn of the ring, not one step for each epoch. */
	int64_t steps = first - share->oldest;

	for (int64_t i = 0; i < steps && i < NONCE_EPOCHS; i++) {
		uint32_t *n = &share->n_of[(share->oldest + i) % NONCE_EPOCHS];

		share->n -= *n;
		*n = 0;
	}
	if (steps > 0)
		share->oldest = first;
}

/* NULL when memory is out. */
static struct share *
need_share(struct nonce_shares *s, struct span signer, int64_t oldest)
{
	struct share *share = map_find(s->by_signer, signer);

	if (share != NULL)
		return share;
	share = mem_zalloc(1, sizeof(*share));
	if (share == NULL)
		return NULL;
	share->oldest = oldest;
	if (!map_put(s->by_signer, signer, share, NULL)) {
		mem_free(share);
		return NULL;
	}
	return share;
}

enum nonce_verdict
nonce_shares_take(struct nonce_shares *s, struct span signer, size_t max,
	const struct nonce_when *when, int64_t oldest)
{
	struct share *share = need_share(s, signer, oldest);

	if (share == NULL)
		return NONCE_TABLE_FULL;
	forget_counts(share, when->first);
	if (when->epoch < share->oldest)
		return NONCE_FORGOTTEN;
	if (share->n >= max)
		return NONCE_SHARE_FULL;
	share->n++;
	share->n_of[when->epoch % NONCE_EPOCHS]++;
	return NONCE_FRESH;
}

void
nonce_shares_give(struct nonce_shares *s, struct span signer, int64_t epoch)
{
	struct share *share = map_find(s->by_signer, signer);

	if (epoch >= share->oldest) {
		share->n--;
		share->n_of[epoch % NONCE_EPOCHS]--;
	}
}
