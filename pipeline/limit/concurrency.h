/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* How many authenticated actions are in flight (gateway.concurrency_limit): one atomic count. Any thread. */
#ifndef PIPELINE_CONCURRENCY_H
#define PIPELINE_CONCURRENCY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct slots {
	atomic_size_t n_taken;
};

/* False when limit are taken; otherwise slots_give must follow. */
MUSTCHECK bool slots_take(struct slots *s, size_t limit);
void slots_give(struct slots *s);
size_t slots_count(const struct slots *s);

#endif
