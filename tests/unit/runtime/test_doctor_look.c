/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Looks that do not end: the report comes all the same, says what could not be measured, and nothing that they still use is given back. */
#define _GNU_SOURCE /* pthread_setattr_default_np */

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
static atomic_bool measure_waits;
static atomic_bool load_waits;
static atomic_bool has_no_threads; /* once something is stuck */
static atomic_int n_looks;
static atomic_int n_stuck;
static atomic_int n_loads;

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
measure(struct doctor *d)
{
	if (atomic_load(&measure_waits))
		wait_at_gate();
	d->host.uid = 1000;
}

static void
load(struct doctor *d)
{
	(void)d;
	n_loads++;
	if (atomic_load(&load_waits))
		wait_at_gate();
}

/* The next thread that is made asks for more stack than there are addresses. */
static void
set_stack(size_t size)
{
	pthread_attr_t attr;

	CHECK_INT(pthread_attr_init(&attr), 0);
	CHECK_INT(pthread_attr_setstacksize(&attr, size), 0);
	CHECK_INT(pthread_setattr_default_np(&attr), 0);
	pthread_attr_destroy(&attr);
}

static enum finding
stick(struct doctor *d)
{
	n_stuck++;
	if (atomic_load(&has_no_threads))
		set_stack((size_t)1 << 48);
	wait_at_gate();
	return doctor_say(d, FINDING_PASS, "it came back");
}

static enum finding
tell_user(struct doctor *d)
{
	return doctor_say(d, FINDING_PASS, "user %d, filter %d", (int)d->host.uid, d->host.seccomp);
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
static const struct doctor_row measured[] = {{"user", NOTHING, tell_user, "user", "", NULL}};
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
		.measure = measure,
		.load = load,
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
	int64_t until = clock_mono_ns() + 60 * NS_PER_SEC;

	set_gate(true);
	while (atomic_load(&n_released) != n_expected || mem_live() != live) {
		if (clock_mono_ns() > until)
			FAIL("released: %d of %d, blocks: %ld of %ld", atomic_load(&n_released),
				n_expected, mem_live(), live);
		sched_yield();
	}
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

TEST(what_is_stuck_takes_no_second_thread_and_the_others_are_always_looked_at)
{
	struct doctor_report report;
	long live = mem_live();

	n_released = 0;
	n_looks = 0;
	n_stuck = 0;
	for (int i = 0; i < 20; i++) {
		look(few, ARRAY_LEN(few), &report);
		CHECK_INT(report.n_checks, 3);
		CHECK(report.checks[0].is_ok);
		CHECK(!report.checks[1].is_ok);
		CHECK(strstr(report.checks[1].hint, "could not be measured") != NULL);
		CHECK(report.checks[2].is_ok);
		doctor_report_fini(&report);
	}
	CHECK_INT(n_stuck, 1);
	CHECK_INT(n_looks, 40);
	CHECK_INT(n_released, 19);
	CHECK(doctor_has_left());
	come_back(20, live);
	CHECK(!doctor_has_left());
	/* Once it is back it is looked at as before. */
	set_gate(true);
	look(few, ARRAY_LEN(few), &report);
	set_gate(false);
	CHECK(report.is_ready);
	CHECK_INT(n_stuck, 2);
	doctor_report_fini(&report);
}

/* Asked for by itself: nothing but the rows says that what they need was not there. */
static void
expect_user(const char *text)
{
	struct doctor_report report;

	look(measured, ARRAY_LEN(measured), &report);
	CHECK_INT(report.n_checks, 1);
	CHECK_STR(report.checks[0].hint, text);
	doctor_report_fini(&report);
}

TEST(what_every_check_needs_may_be_stuck_too)
{
	long live = mem_live();

	n_released = 0;
	n_loads = 0;
	load_waits = true;
	/* The policy is; the host is measured all the same, and the policy is not begun again. */
	for (int i = 0; i < 12; i++)
		expect_user("user 1000, filter -1");
	load_waits = false;
	CHECK_INT(n_loads, 1);
	CHECK_INT(n_released, 11);
	come_back(12, live);
	/* The host is: nothing is said to be measured. */
	n_released = 0;
	measure_waits = true;
	expect_user("user -1, filter -1");
	expect_user("user -1, filter -1");
	measure_waits = false;
	come_back(2, live);
	expect_user("user 1000, filter -1");
	CHECK_INT(n_loads, 4);
}

TEST(what_was_found_is_reported_when_no_thread_can_be_made)
{
	struct doctor_report report;
	long live = mem_live();
	pthread_attr_t usual;
	size_t size = 0;

	CHECK_INT(pthread_getattr_default_np(&usual), 0);
	CHECK_INT(pthread_attr_getstacksize(&usual, &size), 0);
	pthread_attr_destroy(&usual);
	n_released = 0;
	has_no_threads = true;
	look(few, ARRAY_LEN(few), &report);
	has_no_threads = false;
	set_stack(size);
	CHECK_INT(report.n_checks, 3);
	CHECK(strstr(report.checks[0].hint, "was not looked at") != NULL);
	CHECK(strstr(report.checks[1].hint, "could not be measured") != NULL);
	CHECK(report.checks[2].is_ok);
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
	TEST_ROW(what_is_stuck_takes_no_second_thread_and_the_others_are_always_looked_at),
	TEST_ROW(what_every_check_needs_may_be_stuck_too),
	TEST_ROW(what_was_found_is_reported_when_no_thread_can_be_made),
	TEST_ROW(so_many_are_left_and_no_more))
