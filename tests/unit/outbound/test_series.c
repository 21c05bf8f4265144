/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Counters told apart by labels: what has no room, whose room it is, what no label may say. */
#include "series.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/redact.h"
#include "support/test.h"

#define THREADS 4

struct tally {
	struct metric_writer writer; /* first */
	size_t n_families;
	size_t n_samples;
	int64_t sum;
	int64_t overflow;
	char last[160];
};

static void
tally_family(struct metric_writer *w, const char *name, enum metric_kind kind, const char *help)
{
	(void)name;
	(void)help;
	CHECK_INT(kind, METRIC_KIND_COUNTER);
	((struct tally *)(void *)w)->n_families++;
}

static void
tally_integer(struct metric_writer *w, const struct metric_label *labels, size_t n, int64_t value)
{
	struct tally *t = (struct tally *)(void *)w;

	t->n_samples++;
	t->sum += value;
	if (n == 1 && strcmp(labels[0].name, "otel.metric.overflow") == 0)
		t->overflow += value;
	else
		snprintf(t->last, sizeof(t->last), "%s=%.*s", labels[0].name,
			SPAN_ARG(labels[0].value));
}

static const struct metric_writer_ops tally_ops = {
	.family = tally_family, .integer = tally_integer};

static struct tally
tally_of(struct series_table *t, const char *name)
{
	struct tally tally = {.writer.ops = &tally_ops};

	series_write(t, name, "help", &tally.writer);
	return tally;
}

static void *
add_series(void *arg)
{
	char value[32];

	for (unsigned i = 0; i < 3000; i++) {
		snprintf(value, sizeof(value), "v%u", i % 1500);
		const struct metric_label label = {"what", span_cstr(value)};
		series_add(arg, SPAN_NONE, NULL, "many", &label, 1);
	}
	return NULL;
}

TEST(series_without_room_are_added_up_in_one)
{
	struct series_table *t = series_new();
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, add_series, t) == 0);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	struct tally many = tally_of(t, "many");
	CHECK_INT(many.n_families, 1);
	CHECK_INT(many.sum, THREADS * 3000);
	CHECK(many.n_samples <= SERIES_MAX + 1 && many.n_samples > SERIES_MAX / 2);
	CHECK(many.overflow >= (1500 - SERIES_MAX) * 2 * THREADS);
	CHECK_INT(tally_of(t, "none").n_families, 0);
	series_free(&t);
}

/* Who makes up words takes only so much of what others need. */
TEST(an_owner_of_many_series_leaves_room_for_others)
{
	struct series_table *t = series_new();
	char value[32];

	for (unsigned i = 0; i < 4 * SERIES_MAX; i++) {
		snprintf(value, sizeof(value), "v%u", i);
		const struct metric_label label = {"what", span_cstr(value)};
		series_add(t, SPAN_LIT("busy"), redactor_default(), "many", &label, 1);
	}
	struct tally many = tally_of(t, "many");
	CHECK_INT(many.sum, 4 * SERIES_MAX);
	CHECK_INT(many.n_samples, SERIES_OWNER_MAX + 1);
	static const struct metric_label other = {"what", {"other", 5}};
	series_add(t, SPAN_LIT("quiet"), redactor_default(), "one", &other, 1);
	CHECK_STR(tally_of(t, "one").last, "what=other");
	static const struct metric_label first = {"what", {"v0", 2}};
	series_add(t, SPAN_LIT("busy"), redactor_default(), "many", &first, 1);
	CHECK_INT(tally_of(t, "many").overflow, many.overflow);
	series_free(&t);
}

struct race {
	struct series_table *table;
	pthread_barrier_t start;
};

static void *
add_the_same(void *arg)
{
	struct race *r = arg;
	char value[32];

	pthread_barrier_wait(&r->start);
	for (unsigned i = 0; i < 128; i++) {
		snprintf(value, sizeof(value), "v%u", i);
		const struct metric_label label = {"what", span_cstr(value)};
		series_add(r->table, SPAN_LIT("busy"), NULL, "many", &label, 1);
	}
	return NULL;
}

/* A row that another thread had first is not of the share of who came second. */
TEST(a_row_that_is_lost_to_another_thread_is_not_counted)
{
	for (unsigned round = 0; round < 100; round++) {
		struct race r = {.table = series_new()};
		pthread_t threads[THREADS];
		char value[32];

		CHECK(pthread_barrier_init(&r.start, NULL, THREADS) == 0);
		for (size_t i = 0; i < THREADS; i++)
			CHECK(pthread_create(&threads[i], NULL, add_the_same, &r) == 0);
		for (size_t i = 0; i < THREADS; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
		for (unsigned i = 0; i < SERIES_MAX; i++) {
			snprintf(value, sizeof(value), "w%u", i);
			const struct metric_label label = {"what", span_cstr(value)};
			series_add(r.table, SPAN_LIT("busy"), NULL, "many", &label, 1);
		}
		/* And the one for the rest. */
		CHECK_INT(tally_of(r.table, "many").n_samples, SERIES_OWNER_MAX + 1);
		pthread_barrier_destroy(&r.start);
		series_free(&r.table);
	}
}

TEST(series_hold_no_secret_and_nothing_long)
{
	static const struct metric_label secret = {"what", {"AKIAABCDEFGHIJKLMNOP", 20}};
	struct series_table *t = series_new();
	char text[200];

	memset(text, 'x', sizeof(text));
	const struct metric_label longer = {"what", span_of(text, sizeof(text))};
	series_add(t, SPAN_NONE, redactor_default(), "a", &secret, 1);
	series_add(t, SPAN_NONE, redactor_default(), "a", &secret, 1);
	CHECK_STR(tally_of(t, "a").last, "what=[REDACTED]");
	CHECK_INT(tally_of(t, "a").sum, 2);
	series_add(t, SPAN_NONE, redactor_default(), "b", &longer, 1);
	CHECK_STR(tally_of(t, "b").last, "what=(too long)");
	series_free(&t);
}

SUITE("series", TEST_ROW(series_without_room_are_added_up_in_one),
	TEST_ROW(an_owner_of_many_series_leaves_room_for_others),
	TEST_ROW(a_row_that_is_lost_to_another_thread_is_not_counted),
	TEST_ROW(series_hold_no_secret_and_nothing_long))
