/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges. Each thread adds to one of a fixed number of banks, so that workers do not
 * fight for a cache line; a reader sums the banks. Must never lose an addition, also when two
 * threads share a bank. Any thread.
 */
#include "base/metric.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/must.h"

#define CACHE_LINE 64
#define N_BANKS 16 /* more threads than this share banks, which is slower but right */

struct bank {
	_Alignas(CACHE_LINE) _Atomic int64_t value[METRIC__MAX];
};

static struct bank banks[N_BANKS];
static atomic_uint n_threads;
static _Thread_local struct bank *own;

enum kind { COUNTER = 0, GAUGE };

static const struct {
	const char *name;
	const char *help;
	enum kind kind;
} table[METRIC__MAX] = {
#define X(id, name, kind, help) [id] = {name, help, kind},
#include "base/metric_tbl.h"
#undef X
};

void
metric_add(enum metric m, int64_t n)
{
	MUST((unsigned)m < METRIC__MAX);
	if (own == NULL) {
		unsigned i = atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed);
		own = &banks[i % N_BANKS];
	}
	atomic_fetch_add_explicit(&own->value[m], n, memory_order_relaxed);
}

int64_t
metric_get(enum metric m)
{
	int64_t sum = 0;

	MUST((unsigned)m < METRIC__MAX);
	for (unsigned i = 0; i < N_BANKS; i++)
		sum += atomic_load_explicit(&banks[i].value[m], memory_order_relaxed);
	return sum;
}

const char *
metric_name(enum metric m)
{
	MUST((unsigned)m < METRIC__MAX);
	return table[m].name;
}

const char *
metric_help(enum metric m)
{
	MUST((unsigned)m < METRIC__MAX);
	return table[m].help;
}

bool
metric_is_gauge(enum metric m)
{
	MUST((unsigned)m < METRIC__MAX);
	return table[m].kind == GAUGE;
}
