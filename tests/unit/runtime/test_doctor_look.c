/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Looks that do not end: the report comes all the same, says what could not be measured, and nothing that they still use is given back. */
#include "doctor_look.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pipeline/options.h"
#include "support/test.h"

/* Whoever waits at it stays there until it is opened. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool is_open;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER};
static atomic_int n_released;
static atomic_bool prepare_waits;
static atomic_int n_looks;

static void
wait_at_gate(void)
{
	pthread_mutex_lock(&gate.lock);
	while (!gate.is_open)
		pthread_cond_wait(&gate.opened, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static void
set_gate(bool is_open)
{
	pthread_mutex_lock(&gate.lock);
	gate.is_open = is_open;
	pthread_cond_broadcast(&gate.opened);
	pthread_mutex_unlock(&gate.lock);
}

static void
prepare(struct doctor *d)
{
	(void)d;
	if (atomic_load(&prepare_waits))
		wait_at_gate();
}

static enum finding
stick(struct doctor *d)
{
	wait_at_gate();
	return doctor_say(d, FINDING_PASS, "it came back");
}

static enum finding
pass(struct doctor *d)
{
	n_looks++;
	return doctor_say(d, FINDING_PASS, "seen");
}

static bool
is_wanted(const struct doctor_input *in, const char *id)
{
	(void)in;
	return strcmp(id, "d.unwanted") != 0;
}

static void
release(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static const struct doctor_row few[] = {
	{"c.first", NOTHING, pass, "first", "", "nothing to do"},
	{"b.stuck", NOTHING, stick, "stuck", "", "look at the mount"},
	{"a.last", NOTHING, pass, "last", "", NULL},
	{"d.unwanted", NOTHING, stick, "unwanted", "", NULL},
};
static const struct doctor_row many[] = {
	{"a", NOTHING, stick, "a", "", NULL},
	{"b", NOTHING, stick, "b", "", NULL},
	{"c", NOTHING, stick, "c", "", NULL},
	{"d", NOTHING, stick, "d", "", NULL},
	{"e", NOTHING, stick, "e", "", NULL},
	{"f", NOTHING, stick, "f", "", NULL},
	{"g", NOTHING, stick, "g", "", NULL},
	{"h", NOTHING, stick, "h", "", NULL},
	{"i", NOTHING, pass, "i", "", NULL},
	{"j", NOTHING, pass, "j", "", NULL},
};

static void
look(const struct doctor_row *rows, size_t n, struct doctor_report *out)
{
	const struct doctor_look how = {.rows = rows,
		.n_rows = n,
		.first_ns = 300 * NS_PER_MS,
		.next_ns = 50 * NS_PER_MS,
		.prepare = prepare,
		.is_wanted = is_wanted};
	const struct pipeline_options pipeline = {.runtime.stateless_mode = true};
	const struct doctor_input in = {
		.pipeline = &pipeline, .release = release, .release_arg = &n_released};
	struct errinfo ei;

	CHECK_INT(doctor_look_run(&how, &in, out, &ei), OK);
}

/* Until the threads that were left have given everything back. */
static void
come_back(int n_expected, long live)
{
	set_gate(true);
	while (atomic_load(&n_released) != n_expected || mem_live() != live)
		sched_yield();
	set_gate(false);
}

TEST(a_check_that_does_not_end_fails_and_the_others_are_looked_at)
{
	struct doctor_report report;
	long live = mem_live();

	n_released = 0;
	n_looks = 0;
	look(few, ARRAY_LEN(few), &report);
	CHECK_INT(report.n_checks, 3);
	CHECK_STR(report.checks[0].id, "a.last");
	CHECK(report.checks[0].is_ok);
	CHECK_STR(report.checks[1].message, "stuck failed");
	CHECK(!report.checks[1].is_ok);
	CHECK(strstr(report.checks[1].hint, "could not be measured") != NULL);
	CHECK(strstr(report.checks[1].hint, "; look at the mount") != NULL);
	CHECK(report.checks[2].is_ok);
	CHECK(!report.is_ready);
	CHECK_INT(n_looks, 2);
	/* The thread that was left may still read what it was given. */
	CHECK_INT(n_released, 0);
	doctor_report_fini(&report);
	come_back(1, live);
}

TEST(what_every_check_needs_may_be_stuck_too)
{
	struct doctor_report report;
	long live = mem_live();

	n_released = 0;
	prepare_waits = true;
	look(few, 1, &report);
	prepare_waits = false;
	CHECK_INT(report.n_checks, 1);
	CHECK(report.checks[0].is_ok);
	CHECK_INT(n_released, 0);
	doctor_report_fini(&report);
	come_back(1, live);
}

TEST(so_many_are_left_and_no_more)
{
	struct doctor_report report;
	long live = mem_live();

	n_released = 0;
	n_looks = 0;
	look(many, ARRAY_LEN(many), &report);
	CHECK_INT(report.n_checks, ARRAY_LEN(many));
	CHECK(strstr(report.checks[7].hint, "could not be measured") != NULL);
	CHECK(strstr(report.checks[8].hint, "was not looked at") != NULL);
	CHECK(!report.checks[9].is_ok);
	doctor_report_fini(&report);
	/* The next one begins nothing. */
	look(few, ARRAY_LEN(few), &report);
	CHECK_INT(report.n_checks, 3);
	for (size_t i = 0; i < report.n_checks; i++)
		CHECK(strstr(report.checks[i].hint, "was not looked at") != NULL);
	CHECK_INT(n_looks, 0);
	CHECK_INT(n_released, 1);
	doctor_report_fini(&report);
	come_back(2, live);
	set_gate(true);
	look(few, ARRAY_LEN(few), &report);
	set_gate(false);
	CHECK(report.is_ready);
	CHECK_INT(n_released, 3);
	doctor_report_fini(&report);
	CHECK_INT(mem_live(), live);
}

SUITE("doctor_look", TEST_ROW(a_check_that_does_not_end_fails_and_the_others_are_looked_at),
	TEST_ROW(what_every_check_needs_may_be_stuck_too), TEST_ROW(so_many_are_left_and_no_more))
