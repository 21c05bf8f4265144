/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sinks that are away for long, refuse records for good, or know better than the cursor where they stand. The clock is a
 * played one that lies before the machine's start: pauses return at once, and each try that fails moves it by what a
 * pause lasts on average.
 */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "audit/sink_report.h"
#include "audit/source.h"
#include "audit/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fault_store.h"
#include "ledger_fixture.h"
#include "ledger_priv.h"

#define BEGIN_NS (-400 * 86400 * NS_PER_SEC)
#define WALL_NS (INT64_C(1790000000) * NS_PER_SEC)
#define PAUSE_NS (15 * NS_PER_SEC)
#define HOUR_NS (3600 * NS_PER_SEC)
#define SINK_NAME "played"

/* A receiver that outlives the gateway. */
struct played {
	_Atomic int64_t away_until_ns;
	_Atomic int64_t gate_ns; /* the clock does not pass it */
	_Atomic uint64_t n_tries;
	_Atomic uint64_t n_taken;
	_Atomic uint64_t n_repeated;
	_Atomic bool is_out_of_order;
	_Atomic uint64_t refuses; /* this record, and its own dead letters when is_stubborn */
	_Atomic bool is_stubborn;
	_Atomic uint64_t n_refusals;
	_Atomic uint64_t stands; /* what resume answers; 0: nothing */
	_Atomic uint64_t told;   /* refused_seq of the last dead letter that came */
	_Atomic uint64_t last;
	struct chain_head head; /* the sink's thread */
};

struct played_sink {
	struct sink base;
	struct played *p;
};

static bool
refuses(struct played *p, const struct sink_record *r)
{
	struct chain_fields f;

	if (!chain_read_fields(r->body, &f))
		return true;
	return r->seq == p->refuses ||
	       (p->is_stubborn && span_eq_cstr(f.event_type, SINK_DEAD_LETTER_EVENT));
}

static void
take(struct played *p, const struct sink_record *r)
{
	struct span told = chain_find_member(r->body, SPAN_LIT("refused_seq"));

	if (r->seq <= p->last) {
		p->n_repeated++;
		return;
	}
	if (r->seq != p->last + 1 && p->last + 1 != p->refuses && !p->is_stubborn)
		p->is_out_of_order = true;
	if (p->head.seq + 1 == r->seq &&
		chain_check(NULL, &p->head, r->seq, r->body, r->event_hash) != CHAIN_FAULT_NONE)
		p->is_out_of_order = true;
	if (told.n > 0)
		p->told = strtoull(told.p, NULL, 10);
	p->last = r->seq;
	p->n_taken++;
}

static enum err
deliver(struct sink *s, const struct sink_record *r, size_t n, size_t *n_taken, struct errinfo *ei)
{
	struct played *p = ((struct played_sink *)(void *)s)->p;

	p->n_tries++;
	if (clock_mono_ns() < p->away_until_ns) {
		if (clock_mono_ns() < p->gate_ns)
			clock_fake_advance(PAUSE_NS);
		else
			(void)sched_yield();
		return ERR(ei, ERR_IO, "away");
	}
	for (size_t i = 0; i < n; i++) {
		if (refuses(p, &r[i])) {
			p->n_refusals++;
			return ERR(ei, ERR_INVALID, "the receiver answered 422");
		}
		take(p, &r[i]);
		*n_taken = i + 1;
	}
	return OK;
}

static enum err
resume(struct sink *s, const char *chain_id, uint64_t *seq, struct errinfo *ei)
{
	struct played *p = ((struct played_sink *)(void *)s)->p;

	CHECK_INT(strlen(chain_id), CHAIN_ID_HEX);
	if (p->stands == UINT64_MAX)
		return ERR(ei, ERR_INVALID, "not mine");
	if (p->stands != 0)
		*seq = p->stands;
	return OK;
}

static void
free_sink(struct sink *s)
{
	mem_free(s);
}

static struct sink *
new_sink(struct played *p)
{
	static const struct sink_ops ops = {
		.deliver = deliver, .resume = resume, .free = free_sink};
	struct played_sink *s = mem_zalloc(1, sizeof(*s));

	MUST(s != NULL);
	s->base.ops = &ops;
	s->base.name = SINK_NAME;
	s->base.target = "https://siem.example.com";
	s->base.from_start = true;
	s->base.retry_max_ns = NS_PER_MS;
	s->p = p;
	return &s->base;
}

static struct ledger *
start_with(struct ledger_options *o, struct sink **slot, struct played *p)
{
	*slot = new_sink(p);
	o->sinks = slot;
	o->n_sinks = 1;
	return start_ledger(o);
}

static void
wait_for_clock(int64_t mono_ns)
{
	while (clock_mono_ns() < mono_ns)
		(void)sched_yield();
}

static void
wait_for_sink(struct ledger *l, const struct played *p)
{
	while (p->last < ledger_get_head_seq(l))
		(void)sched_yield();
}

/* Seven days, records all the time, two restarts in between; the store is all that remembers. */
TEST(a_week_away_loses_nothing_and_repeats_nothing_out_of_order)
{
	const char *is_long = getenv("NOMOS_TEST_LONG");
	const int n_per_hour = is_long != NULL && strcmp(is_long, "yes") == 0 ? 200 : 10;
	const int n_hours = 7 * 24;
	struct played p = {.away_until_ns = BEGIN_NS + n_hours * HOUR_NS};
	struct ledger_options o = options_in(test_ramdir());
	struct sink *slot = NULL;

	log_set_level(LOG_ERROR);
	clock_fake_set(BEGIN_NS, WALL_NS);
	o.ring_bytes = 1 << 20;
	o.checkpoint_every = 64;
	struct ledger *l = start_with(&o, &slot, &p);
	for (int hour = 0; hour < n_hours; hour++) {
		for (int i = 0; i < n_per_hour; i++)
			CHECK_INT(append_one(l, "a"), OK);
		p.gate_ns = BEGIN_NS + (hour + 1) * HOUR_NS;
		if (hour < n_hours - 1)
			wait_for_clock(p.gate_ns);
		CHECK(p.n_taken == 0 || hour == n_hours - 1);
		if (hour == n_hours / 3 || hour == n_hours / 2) {
			ledger_close(&l);
			l = start_with(&o, &slot, &p);
		}
	}
	CHECK(p.n_tries >= 7 * 24 * 3600 / 15 - 10);
	wait_for_clock(p.away_until_ns);
	wait_for_sink(l, &p);
	CHECK_INT(p.n_taken, ledger_get_head_seq(l));
	CHECK(p.n_taken > (uint64_t)(n_hours * n_per_hour));
	CHECK_INT(p.n_repeated, 0);
	CHECK(!p.is_out_of_order);
	CHECK_INT(p.head.seq, p.last);
	ledger_close(&l);
	clock_fake_off();
}

static bool
keep_report(const struct sink_report *r, void *arg)
{
	uint64_t *found = arg;

	CHECK_STR(r->name, SINK_NAME);
	CHECK_STR(r->target, "https://siem.example.com");
	found[0] = r->n_dead;
	found[1] = r->last_dead;
	found[2] = r->n_behind;
	found[3] = r->error[0] != '\0';
	found[4] = (uint64_t)(r->behind_ns / NS_PER_SEC);
	return true;
}

static void
read_report(const char *path, int64_t now_ns, uint64_t found[5])
{
	struct source *s = NULL;
	struct errinfo ei;

	if (source_open(path, SOURCE_SHARED, &s, &ei) != OK ||
		sink_report_each(s, now_ns, keep_report, found, &ei) != OK)
		FAIL("%s", ei.msg);
	source_free(&s);
}

TEST(a_refused_record_is_offered_five_times_and_then_told_in_the_chain)
{
	struct played p = {.refuses = 4};
	struct ledger_options o = options_in(test_tmpdir());
	struct sink *slot = NULL;
	uint64_t found[5] = {0};

	log_set_level(LOG_ERROR);
	struct ledger *l = start_with(&o, &slot, &p);
	for (int i = 0; i < 10; i++)
		CHECK_INT(append_one(l, "a"), OK);
	while (p.told == 0)
		(void)sched_yield();
	ledger_close(&l);
	CHECK_INT(p.n_refusals, SINK_REFUSALS_MAX);
	CHECK_INT(p.told, 4);
	CHECK(!p.is_out_of_order);
	CHECK_INT(p.n_taken, p.last - 1);
	read_report(o.path, clock_wall_ns(), found);
	CHECK_INT(found[0], 1);
	CHECK_INT(found[1], 4);
	CHECK_INT(found[2], 0);
	CHECK_INT(found[3], 0);
	/* The next start goes on counting. */
	p.refuses = p.last + 1;
	l = start_with(&o, &slot, &p);
	CHECK_INT(append_one(l, "b"), OK);
	while (p.told == 4)
		(void)sched_yield();
	ledger_close(&l);
	read_report(o.path, clock_wall_ns(), found);
	CHECK_INT(found[0], 2);
}

/* Required, without a store, and refusing all that its own refusals bring forth: it gets on all the same. */
TEST(a_stubborn_sink_does_not_stop_a_ledger_without_a_store)
{
	struct played p = {.refuses = 3, .is_stubborn = true};
	struct ledger_options o = options_in(test_tmpdir());
	struct sink *slot = NULL;

	log_set_level(LOG_ERROR);
	o.store = LEDGER_STORE_NONE;
	o.path = NULL;
	o.required = LEDGER_REQUIRED_ALL;
	o.sink_deadline_ms = 400;
	struct ledger *l = start_with(&o, &slot, &p);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT); /* the one that is refused */
	while (!ledger_is_ready(l, NULL, 0))
		(void)sched_yield();
	for (int i = 0; i < 20; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK(p.n_refusals >= 2 * SINK_REFUSALS_MAX);
}

static void
check_turned_back(enum ledger_required required, bool is_named, enum ledger_store store)
{
	struct played p = {.refuses = 3};
	struct ledger_options o = options_in(test_tmpdir());
	struct sink *slot = NULL;

	o.store = store;
	if (store == LEDGER_STORE_NONE)
		o.path = NULL;
	o.required = required;
	o.sink_deadline_ms = 400;
	slot = new_sink(&p);
	slot->is_required = is_named;
	o.sinks = &slot;
	o.n_sinks = 1;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT);
	while (p.told != 3)
		(void)sched_yield();
	while (!ledger_is_ready(l, NULL, 0))
		(void)sched_yield();
	CHECK(p.n_refusals >= SINK_REFUSALS_MAX);
	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	CHECK(!p.is_out_of_order);
}

/* It never took the record, so nothing may run on it; then it goes on behind the record, with its dead letter. */
TEST(a_record_that_a_required_sink_refuses_turns_its_decision_back)
{
	log_set_level(LOG_ERROR);
	check_turned_back(LEDGER_REQUIRED_ALL, false, LEDGER_STORE_SQLITE);
	check_turned_back(LEDGER_REQUIRED_ANY, false, LEDGER_STORE_NONE);
	check_turned_back(LEDGER_REQUIRED_NAMED, true, LEDGER_STORE_SQLITE);
}

/* The sink itself waits for it to be recorded: it must not wait for the sink in its turn. */
TEST(a_dead_letter_whose_commit_is_doubtful_does_not_wait_for_its_own_sink)
{
	struct played p = {.refuses = 3};
	struct ledger_options o = options_in(test_tmpdir());
	struct fault_store f;
	struct errinfo ei;
	struct sink *slot = new_sink(&p);

	log_set_level(LOG_ERROR);
	o.required = LEDGER_REQUIRED_ALL;
	o.sink_deadline_ms = 400;
	o.sinks = &slot;
	o.n_sinks = 1;
	struct ledger *l = open_ledger(&o);
	if (l == NULL)
		return;
	fault_install(&f, l);
	CHECK_INT(ledger_start(l, &ei), OK);
	CHECK_INT(append_one(l, "a"), OK);
	CHECK_INT(append_one(l, "a"), ERR_AUDIT); /* the one that is refused */
	fault_set(&f, FAULT_COMMIT_KEPT, 0, 1);
	while (p.told != 3)
		(void)sched_yield();
	while (!ledger_is_ready(l, NULL, 0))
		(void)sched_yield();
	CHECK_INT(f.n_struck, 1);
	CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
}

TEST(what_fails_is_told_with_its_age)
{
	struct played p = {.away_until_ns = INT64_MAX};
	struct ledger_options o = options_in(test_tmpdir());
	struct sink *slot = NULL;
	uint64_t found[5] = {0};

	log_set_level(LOG_ERROR);
	clock_fake_set(BEGIN_NS, WALL_NS);
	struct ledger *l = start_with(&o, &slot, &p);
	CHECK_INT(append_one(l, "a"), OK);
	while (p.n_tries < 3)
		(void)sched_yield();
	ledger_close(&l);
	clock_fake_off();
	read_report(o.path, WALL_NS + 1000 * NS_PER_SEC, found);
	CHECK_INT(found[2], 3);
	CHECK_INT(found[3], 1);
	CHECK(found[4] > 0 && found[4] <= 1000);
}

TEST(a_sink_that_can_tell_is_believed)
{
	struct played p = {.refuses = 0};
	struct ledger_options o = options_in(test_tmpdir());
	struct sink *slot = NULL;
	struct ledger *l = start_with(&o, &slot, &p);
	struct errinfo ei;

	log_set_level(LOG_ERROR);
	for (int i = 0; i < 5; i++)
		CHECK_INT(append_one(l, "a"), OK);
	wait_for_sink(l, &p);
	ledger_close(&l);
	uint64_t end = p.last;
	p.stands = 2; /* it lost the rest */
	l = start_with(&o, &slot, &p);
	wait_for_sink(l, &p);
	ledger_close(&l);
	CHECK_INT(p.n_repeated, end - 2);
	CHECK(!p.is_out_of_order);

	p.stands = p.last + 5;
	slot = new_sink(&p);
	CHECK_INT(ledger_open(&o, &l, &ei), ERR_CORRUPT);
	CHECK(strstr(ei.msg, "older copy") != NULL);
	p.stands = UINT64_MAX;
	slot = new_sink(&p);
	CHECK_INT(ledger_open(&o, &l, &ei), ERR_INVALID);
}

SUITE("sink_outage", TEST_ROW(a_week_away_loses_nothing_and_repeats_nothing_out_of_order),
	TEST_ROW(a_refused_record_is_offered_five_times_and_then_told_in_the_chain),
	TEST_ROW(a_record_that_a_required_sink_refuses_turns_its_decision_back),
	TEST_ROW(a_stubborn_sink_does_not_stop_a_ledger_without_a_store),
	TEST_ROW(a_dead_letter_whose_commit_is_doubtful_does_not_wait_for_its_own_sink),
	TEST_ROW(what_fails_is_told_with_its_age), TEST_ROW(a_sink_that_can_tell_is_believed))
