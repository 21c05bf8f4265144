/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Copies numbers out of the running pipeline for operators. Any thread; a shard's or the breakers' lock for a moment. */
#include "pipeline/observe.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "limit/bucket_table.h"
#include "limit/token_bucket.h"
#include "req_state.h"

/* Of all buckets, so many are looked at. */
#define BUCKETS_SEEN_MAX 1024

void
observe_decisions(const struct pipeline *p, struct observed_decisions *out)
{
	/* The second that is not over yet would look like a dip. */
	int64_t last = clock_mono_ns() / NS_PER_SEC - 1;
	int64_t wall = clock_wall_ns() / NS_PER_SEC - 1;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < OBSERVE_SECONDS; i++)
		out->seconds[i].at_wall_s = wall - (int64_t)(OBSERVE_SECONDS - 1 - i);
	for (size_t l = 0; l < p->n_pools; l++) {
		const struct decision_stats *s = &p->pools[l].stats;
		for (int v = 0; v < VERDICT__MAX; v++)
			out->by_verdict[v] +=
				atomic_load_explicit(&s->by_verdict[v], memory_order_relaxed);
		for (int r = 0; r < REASON__MAX; r++)
			out->by_reason[r] +=
				atomic_load_explicit(&s->by_reason[r], memory_order_relaxed);
		for (size_t i = 0; i < OBSERVE_SECONDS; i++)
			decision_stats_add_second(
				s, last - (int64_t)(OBSERVE_SECONDS - 1 - i), out->seconds[i].n);
	}
}

size_t
observe_steps(const struct pipeline *p, struct observed_step out[OBSERVE_STEPS_MAX])
{
	_Static_assert((int)STEP__MAX <= OBSERVE_STEPS_MAX, "steps");
	size_t n = 0;

	/* The answer itself is no step that goes on to another. */
	for (enum req_step s = 0; s < STEP_RESPOND; s++) {
		out[n] = (struct observed_step){.name = req_step_name(s)};
		for (size_t l = 0; l < p->n_pools; l++)
			histogram_collect(&p->pools[l].step_times[s], &out[n].times);
		n++;
	}
	return n;
}

/* Of a key that was cut its last part goes, too: it may end in half a secret, which nobody would recognise any more. */
static struct span
cut_half_part(struct span key)
{
	struct span whole = span_of(key.p, key.n - SHA256_HEX);

	while (whole.n > 0 && whole.p[whole.n - 1] != '|' && whole.p[whole.n - 1] != '\0')
		whole.n--;
	return whole;
}

/* The parts of a key stand apart by NUL. */
static void
copy_key(struct span key, char out[OBSERVE_KEY_BYTES_MAX])
{
	size_t n = key.n < OBSERVE_KEY_BYTES_MAX - 1 ? key.n : OBSERVE_KEY_BYTES_MAX - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = key.p[i] == '\0' ? '|' : key.p[i];
	out[n] = '\0';
}

struct bucket_sample {
	struct observed_bucket *rows;
	size_t n;
	size_t max;
};

static bool
add_bucket(struct span key, const struct token_bucket *b, void *arg)
{
	struct bucket_sample *sample = arg;

	if (sample->n == sample->max)
		return false;
	struct observed_bucket *row = &sample->rows[sample->n++];
	copy_key(key.n == BUCKET_KEY_BYTES_MAX ? cut_half_part(key) : key, row->key);
	row->remaining = b->tokens / TOKEN_SCALE;
	row->capacity = b->burst / TOKEN_SCALE;
	row->refill_per_minute = b->refill_per_minute;
	return true;
}

static double
fill_of(const struct observed_bucket *b)
{
	return b->capacity > 0 ? (double)b->remaining / (double)b->capacity : 1.0;
}

static int
compare_fill(const void *a, const void *b)
{
	double x = fill_of(a);
	double y = fill_of(b);

	return (x > y) - (x < y);
}

size_t
observe_buckets(const struct pipeline *p, struct observed_bucket *out, size_t max)
{
	struct bucket_sample sample = {
		.rows = mem_zalloc(BUCKETS_SEEN_MAX, sizeof(*out)), .max = BUCKETS_SEEN_MAX};

	if (sample.rows == NULL)
		return 0;
	bucket_table_sample(p->rule_buckets, BUCKETS_SEEN_MAX / 2, add_bucket, &sample);
	bucket_table_sample(p->coarse_buckets, BUCKETS_SEEN_MAX / 2, add_bucket, &sample);
	qsort(sample.rows, sample.n, sizeof(*out), compare_fill);
	size_t n = sample.n < max ? sample.n : max;
	if (n > 0)
		memcpy(out, sample.rows, n * sizeof(*out));
	mem_free(sample.rows);
	return n;
}

struct breaker_sample {
	struct observed_breaker *rows;
	size_t n;
	size_t max;
};

static bool
add_breaker(struct span identity, const struct breaker_view *view, void *arg)
{
	struct breaker_sample *sample = arg;

	if (sample->n == sample->max)
		return false;
	struct observed_breaker *row = &sample->rows[sample->n++];
	copy_key(identity, row->identity);
	row->state = view->state;
	row->failures = view->failures;
	row->open_for_ns = view->open_for_ns;
	return true;
}

size_t
observe_breakers(const struct pipeline *p, struct observed_breaker *out, size_t max)
{
	struct breaker_sample sample = {.rows = out, .max = max};

	breakers_each(p->breakers, add_breaker, &sample);
	return sample.n;
}

uint64_t
observe_rule_hits(const struct snapshot *s, size_t i)
{
	return atomic_load_explicit(&s->rule_hits[i], memory_order_relaxed);
}
