/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The count of actions in flight. It never waits: no slot is a refusal. Any thread. */
#include "limit/concurrency.h"

#include "base/metric.h"
#include "base/must.h"

bool
slots_take(struct slots *s, size_t limit)
{
	size_t n = atomic_load(&s->n_taken);

	while (n < limit) {
		if (atomic_compare_exchange_weak(&s->n_taken, &n, n + 1)) {
			metric_add(METRIC_IN_FLIGHT, 1);
			return true;
		}
	}
	return false;
}

void
slots_give(struct slots *s)
{
	MUST(atomic_fetch_sub(&s->n_taken, 1) > 0);
	metric_add(METRIC_IN_FLIGHT, -1);
}

size_t
slots_count(const struct slots *s)
{
	return atomic_load(&s->n_taken);
}
