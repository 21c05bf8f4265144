/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Turns of a thread, and the share of the processors that others take. */
#define _GNU_SOURCE /* syscall */

#include "base/cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "base/clock.h"
#include "support/test.h"

/* The kernel's struct sched_attr: size and policy, flags, nice and priority, then the length of a turn. */
struct turn {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t length_ns;
	uint64_t unused[2];
};

static struct turn
read_turn(void)
{
	struct turn t = {0};

	CHECK(syscall(SYS_sched_getattr, 0, &t, sizeof(t), 0) == 0);
	return t;
}

static void *
ask(void *arg)
{
	struct turn before = read_turn();

	cpu_ask_for_short_turns();
	struct turn after = read_turn();
	CHECK_INT(after.policy, before.policy);
	CHECK_INT(after.nice, before.nice);
	CHECK_INT(after.priority, before.priority);
	/* A kernel before 6.12 tells no length, and knows none. */
	if (before.length_ns != 0)
		CHECK_INT(after.length_ns, 300000);
	*(bool *)arg = before.length_ns != 0;
	return NULL;
}

TEST(a_thread_asks_for_short_turns_and_nothing_else_changes)
{
	struct turn before = read_turn();
	bool is_known = false;
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, ask, &is_known) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	CHECK_INT(read_turn().length_ns, before.length_ns);
	if (!is_known)
		printf("      this kernel knows no length of turns\n");
}

TEST(percent_of_all_processors)
{
	CHECK_INT(cpu_percent(0, 1000, 2), 0);
	CHECK_INT(cpu_percent(1000, 1000, 1), 100);
	CHECK_INT(cpu_percent(1000, 1000, 2), 50);
	CHECK_INT(cpu_percent(1500, 1000, 64), 2);
	CHECK_INT(cpu_percent(INT64_C(3600) * NS_PER_SEC, INT64_C(7200) * NS_PER_SEC, 4), 12);
	/* Clocks of different kinds are not read at the same time. */
	CHECK_INT(cpu_percent(2001, 1000, 2), 100);
	CHECK_INT(cpu_percent(-5, 1000, 2), 0);
	CHECK_INT(cpu_percent(5, 0, 2), 0);
	CHECK_INT(cpu_percent(5, 1000, -1), 0);
}

static void *
work(void *arg)
{
	(void)arg;
	while (clock_thread_cpu_ns() < 20 * NS_PER_MS)
		;
	return NULL;
}

TEST(what_a_thread_does_itself_is_told_from_what_others_do)
{
	struct cpu_watch w;
	pthread_t thread;

	cpu_watch_start(&w);
	struct cpu_watch first = w;
	CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
	int64_t others_ns = w.process_ns;
	struct cpu_use use = cpu_watch_look(&w);
	others_ns = w.process_ns - others_ns - use.own_ns;
	CHECK_INT(use.own_ns, w.own_ns - first.own_ns);
	CHECK(others_ns >= 20 * NS_PER_MS);
	CHECK(use.own_ns < 20 * NS_PER_MS);
	CHECK_INT(use.others_percent,
		cpu_percent(others_ns, w.wall_ns - first.wall_ns, sysconf(_SC_NPROCESSORS_ONLN)));
	work(NULL);
	CHECK(cpu_watch_look(&w).own_ns > 0);
}

SUITE("cpu", TEST_ROW(a_thread_asks_for_short_turns_and_nothing_else_changes),
	TEST_ROW(percent_of_all_processors),
	TEST_ROW(what_a_thread_does_itself_is_told_from_what_others_do))
