/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Plain loads and stores of one writer; a reader sees each number whole. */
#include "decision_stats.h"

#include "base/clock.h"

static void
add_one(_Atomic uint64_t *n)
{
	atomic_store_explicit(
		n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

void
decision_stats_count(
	struct decision_stats *s, int64_t now_ns, enum verdict verdict, enum reason reason)
{
	int64_t second = now_ns / NS_PER_SEC;
	struct decision_second *slot = &s->seconds[(uint64_t)second % DECISION_SLOTS];
	_Atomic uint32_t *n = &slot->n[verdict];

	if (atomic_load_explicit(&slot->second, memory_order_relaxed) != second) {
		for (int v = 0; v < VERDICT__MAX; v++)
			atomic_store_explicit(&slot->n[v], 0, memory_order_relaxed);
		atomic_store_explicit(&slot->second, second, memory_order_release);
	}
	atomic_store_explicit(
		n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
	add_one(&s->by_reason[reason]);
	add_one(&s->by_verdict[verdict]);
}

void
decision_stats_add_second(const struct decision_stats *s, int64_t second, uint64_t n[VERDICT__MAX])
{
	const struct decision_second *slot = &s->seconds[(uint64_t)second % DECISION_SLOTS];

	if (atomic_load_explicit(&slot->second, memory_order_acquire) != second)
		return;
	for (int v = 0; v < VERDICT__MAX; v++)
		n[v] += atomic_load_explicit(&slot->n[v], memory_order_relaxed);
}
