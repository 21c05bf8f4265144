/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps in stretches of NONCE_EPOCH_S seconds, which the sets of marks and the shares count by: what is too old goes at once and whole.
 */
#ifndef PIPELINE_NONCE_EPOCH_H
#define PIPELINE_NONCE_EPOCH_H

#include <stdint.h>

#include "pipeline/options_tbl.h"

enum {
	NONCE_EPOCH_S = 64,
	/* More than the widest window and what clocks are apart can need at a time. */
	NONCE_EPOCHS = 128,
};
_Static_assert((2 * NONCE_WINDOW_MAX_S) / NONCE_EPOCH_S + 3 <= NONCE_EPOCHS,
	"a ring holds the widest window");

struct nonce_when {
	int64_t epoch; /* of the timestamp */
	int64_t first; /* the first epoch in which a timestamp could still be taken */
};

static inline int64_t
nonce_epoch_of(int64_t seconds)
{
	return seconds / NONCE_EPOCH_S;
}

#endif
