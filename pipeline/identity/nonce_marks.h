/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of marks, one for each epoch: a mark stands for a nonce that was used. Must never forget one whose timestamp would still be
 * taken. Its memory grows with what is in it, and what an epoch needed is kept for the next ones. The caller's lock.
 */
#ifndef PIPELINE_NONCE_MARKS_H
#define PIPELINE_NONCE_MARKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "identity/nonce_epoch.h"
#include "identity/nonce_table.h"

enum { NONCE_SPARES = 2 };

/* Open addressing; 0 is an empty slot. */
struct nonce_slots {
	uint64_t *v;
	size_t size; /* a power of two; 0: none */
};

struct nonce_set {
	int64_t epoch;
	struct nonce_slots slots;
	size_t n;
};

/* To be begun as zero but for oldest. */
struct nonce_marks {
	int64_t oldest; /* epoch; what was before it is forgotten */
	size_t n;
	struct nonce_set sets[NONCE_EPOCHS];
	struct nonce_slots spares[NONCE_SPARES];
};

void nonce_marks_fini(struct nonce_marks *m);

/* What was before that epoch; how many those were. */
size_t nonce_marks_forget(struct nonce_marks *m, int64_t first);

/* Never 0. FRESH, USED, FORGOTTEN, or TABLE_FULL: there are max of them, or memory is out. */
MUSTCHECK enum nonce_verdict nonce_marks_put(
	struct nonce_marks *m, int64_t epoch, uint64_t mark, size_t max);

#endif
