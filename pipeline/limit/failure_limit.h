/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How often authentication may fail from one client address (IPv6: one /64) before the answer is 429 (decisions 38). A fixed number of
 * token buckets, chosen by a seeded hash: addresses share one by chance, and nobody can choose to. Only failures are asked
 * about, so a credential that verifies is never refused for it. Any thread; a short lock inside.
 */
#ifndef PIPELINE_FAILURE_LIMIT_H
#define PIPELINE_FAILURE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct failure_limit;

/* NULL when memory is out. */
MUSTCHECK struct failure_limit *failure_limit_new(void);
void failure_limit_free(struct failure_limit **l);
/* One failure from this numeric address, of so many that it may have per minute, at most as many at once. 0: it had some left;
 * else the seconds until it has one. Texts that are no address share one. */
MUSTCHECK uint32_t failure_limit_note(
	struct failure_limit *l, int64_t per_minute, struct span client_address);

#endif
