/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The search for a report's decision in a ledger without an index: a run takes its time and no more, and the next one goes on. */
#include "../../unit/audit/ledger_fixture.h"
#include "base/clock.h"
#include "base/fault.h"
#include "report.h"

#define N_RECORDS 500 /* many times what is read between two looks at the clock */

static void
pass_time(enum fault_point at, bool is_after)
{
	if (at == FAULT_AT_VFS_READ && !is_after)
		clock_fake_advance(NS_PER_SEC);
}

static struct report_search
search_of(const char *action_id, const char *path)
{
	static struct report report = {.hash = "what-is-told"};

	report.action_type = SPAN_LIT("payments.list");
	report.outcome = SPAN_LIT("SUCCEEDED");
	report.resource.text = SPAN_LIT("pay://shop/a");
	return (struct report_search){
		.report = &report,
		.principal = SPAN_LIT("alice"),
		.agent = SPAN_LIT("bot"),
		.environment = SPAN_LIT("prod"),
		.action_id = span_cstr(action_id),
		.trace_id = SPAN_LIT("t1"),
		.ledger_path = path,
	};
}

/* A record of the reports' identity and ids; its number. decision: the one that it closes, or 0. */
static uint64_t
append(struct ledger *l, const char *event, enum ledger_state state, uint64_t decision)
{
	struct job j;
	struct errinfo ei;

	job_init(&j, "a1");
	struct record *r = record_new(j.arena, event);
	MUST(r != NULL);
	record_set_text(r, RECORD_ACTION_ID, SPAN_LIT("a1"));
	record_set_text(r, RECORD_TRACE_ID, SPAN_LIT("t1"));
	record_set_text(r, RECORD_PRINCIPAL, SPAN_LIT("alice"));
	record_set_text(r, RECORD_AGENT, SPAN_LIT("bot"));
	record_set_text(r, RECORD_ENVIRONMENT, SPAN_LIT("prod"));
	record_set_text(r, RECORD_ACTION_TYPE, SPAN_LIT("payments.list"));
	record_set_text(r, RECORD_RESOURCE_NORMALIZED, SPAN_LIT("pay://shop/a"));
	if (decision != 0) {
		record_set_text(r, RECORD_PARAMS_HASH, SPAN_LIT("what-is-told"));
		record_set_int(r, RECORD_INTENT_SEQ, (int64_t)decision);
	}
	CHECK_INT(record_render(r, redactor_default(), j.arena, &j.text, &ei), OK);
	j.state = state;
	j.closes = decision;
	CHECK_INT(job_run(l, &j), OK);
	uint64_t seq = j.e.seq;
	job_fini(&j);
	return seq;
}

static uint64_t
authorize(struct ledger *l)
{
	return append(l, "action.decision", LEDGER_AUTHORIZED, 0);
}

static void
tell(struct ledger *l, uint64_t decision)
{
	append(l, "action.external_reported", LEDGER_COMPLETE, decision);
}

static void
append_others(struct ledger *l)
{
	for (int i = 0; i < N_RECORDS; i++)
		CHECK_INT(append_one(l, "a"), OK);
}

/* A ledger each of whose reads takes a second behind read_slowly. */
static struct ledger *
start_slow_ledger(struct ledger_options *o)
{
	*o = options_in(test_tmpdir());
	/* Whatever is asked for, SQLite's reads are fault points then. */
	CHECK(fault_arm("reload.swap.before:1:error=EIO"));
	return start_ledger(o);
}

static void
read_slowly(void)
{
	clock_fake_set(NS_PER_SEC, INT64_C(1790000000) * NS_PER_SEC);
	fault_set_hook(pass_time);
}

static void
read_fast(void)
{
	fault_set_hook(NULL);
	clock_fake_off();
}

/* How many runs it took. */
static size_t
finish(struct report_search *s)
{
	size_t n = 0;

	do {
		report_search_run(s);
		n++;
	} while (s->result == OK && s->is_cut && n < N_RECORDS);
	CHECK_INT(s->result, OK);
	CHECK(!s->is_cut);
	return n;
}

TEST(ids_that_nobody_knows_do_not_have_the_whole_ledger_read)
{
	struct ledger_options o;
	struct ledger *l = start_slow_ledger(&o);

	append_others(l);
	ledger_close(&l);
	struct report_search s = search_of("nobody-knows", o.path);
	CHECK_INT(finish(&s), 1);
	CHECK_INT(s.match, REPORT_UNMATCHED);
	s = search_of("nobody-knows", o.path);
	read_slowly();
	report_search_run(&s);
	CHECK_INT(s.result, OK);
	CHECK(s.is_cut);
	CHECK(finish(&s) > 1);
	CHECK_INT(s.match, REPORT_UNMATCHED);
	read_fast();
	CHECK(fault_arm(NULL));
}

TEST(what_lies_far_back_is_found_by_going_on)
{
	struct ledger_options o;
	struct ledger *l = start_slow_ledger(&o);
	uint64_t decision = authorize(l);

	append_others(l);
	ledger_close(&l);
	struct report_search s = search_of("a1", o.path);
	read_slowly();
	CHECK(finish(&s) > 1);
	read_fast();
	CHECK_INT(s.match, REPORT_OPEN);
	CHECK_INT(s.seq, decision);
	CHECK(fault_arm(NULL));
}

/* Answered as recorded, the older one would never get its outcome. */
TEST(a_closed_one_does_not_hide_an_open_one_behind_the_cut)
{
	struct ledger_options o;
	struct ledger *l = start_slow_ledger(&o);
	uint64_t older = authorize(l);

	append_others(l);
	tell(l, authorize(l));
	ledger_close(&l);
	struct report_search s = search_of("a1", o.path);
	read_slowly();
	report_search_run(&s);
	CHECK(s.is_cut);
	CHECK(finish(&s) > 1);
	read_fast();
	CHECK_INT(s.match, REPORT_OPEN);
	CHECK_INT(s.seq, older);
	CHECK(fault_arm(NULL));
}

TEST(a_report_that_was_seen_before_the_cut_is_not_forgotten)
{
	struct ledger_options o;
	struct ledger *l = start_slow_ledger(&o);
	uint64_t decision = authorize(l);

	append_others(l);
	tell(l, decision);
	ledger_close(&l);
	struct report_search s = search_of("a1", o.path);
	read_slowly();
	CHECK(finish(&s) > 1);
	read_fast();
	CHECK_INT(s.match, REPORT_REPEATED);
	CHECK(fault_arm(NULL));
}

TEST(a_report_that_comes_between_two_runs_is_seen)
{
	struct ledger_options o;
	struct ledger *l = start_slow_ledger(&o);
	uint64_t decision = authorize(l);

	append_others(l);
	struct report_search s = search_of("a1", o.path);
	read_slowly();
	report_search_run(&s);
	CHECK(s.is_cut);
	read_fast();
	append_others(l);
	tell(l, decision);
	append_others(l);
	finish(&s);
	CHECK_INT(s.match, REPORT_REPEATED);
	ledger_close(&l);
	CHECK(fault_arm(NULL));
}

TEST(many_with_the_same_ids_do_not_hide_an_older_one)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);
	uint64_t decision = authorize(l);

	for (int i = 0; i < N_RECORDS; i++)
		append(l, "action.decision", LEDGER_COMPLETE, 0);
	struct report_search s = search_of("a1", o.path);
	CHECK(finish(&s) > 1);
	CHECK_INT(s.match, REPORT_OPEN);
	CHECK_INT(s.seq, decision);
	ledger_close(&l);
}

/* Without a report in between there is nothing that a second look could see. */
TEST(what_was_closed_otherwise_is_looked_for_once)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct ledger *l = start_ledger(&o);

	append(l, "action.decision", LEDGER_COMPLETE, 0);
	struct report_search s = search_of("a1", o.path);
	CHECK_INT(finish(&s), 1);
	CHECK_INT(s.match, REPORT_UNMATCHED);
	ledger_close(&l);
}

SUITE("report search", TEST_ROW(ids_that_nobody_knows_do_not_have_the_whole_ledger_read),
	TEST_ROW(what_lies_far_back_is_found_by_going_on),
	TEST_ROW(a_closed_one_does_not_hide_an_open_one_behind_the_cut),
	TEST_ROW(a_report_that_was_seen_before_the_cut_is_not_forgotten),
	TEST_ROW(a_report_that_comes_between_two_runs_is_seen),
	TEST_ROW(many_with_the_same_ids_do_not_hide_an_older_one),
	TEST_ROW(what_was_closed_otherwise_is_looked_for_once))
