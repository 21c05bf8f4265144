/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload and snapshot swap under every order of their steps: the main loop, two workers' loops, the pool that
 * builds, requests that hold a reference, a second reload that comes at any time, the shutdown. Beside the real
 * code (swap_world.h) goes a plain model (swap_model.h), and after each step both must agree: who uses which
 * snapshot, how many references each has, which are freed, who was answered and how.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "policy/policy.h"
#include "support/test.h"
#include "swap_world.h"

#define STEPS_MAX 64

static const char *const step_names[STEPS] = {
	"main", "turn-A", "turn-B", "start-A", "start-B", "end-A", "end-B", "ask", "pool", "stop"};

/* Which of the steps that are possible is taken; behind the end the first each time. */
struct path {
	size_t choices[STEPS_MAX];
	size_t n_enabled[STEPS_MAX];
	enum step steps[STEPS_MAX];
	size_t n;
};

static void
compare_answers(void)
{
	for (int k = 1; k < GENERATIONS; k++) {
		expect(run.n_done[k] == run.model.n_done[k], "done is called once, in its time");
		if (run.n_done[k] == 0)
			continue;
		const char *hash = policy_get_hash(policies[run.model.in_use[k]]);
		expect(run.asks[k].result == run.model.result[k], "the result of the reload");
		expect(strcmp(run.asks[k].policy_hash, hash) == 0, "the policy that is named");
	}
}

static void
compare_snapshots(void)
{
	long n_alive = 0;

	for (int g = 0; g < GENERATIONS; g++) {
		size_t n = model_count_refs(&run.model, g);
		/* Those to come have their descriptors already. */
		bool is_made = run.generations[g] != NULL;
		bool is_open = fcntl(run.fds[g], F_GETFD) >= 0;
		expect(!is_made || is_open == (n > 0), "freed with the last reference, not before");
		if (!is_made || !is_open || n == 0)
			continue;
		n_alive++;
		expect(atomic_load(&run.generations[g]->n_refs) == n,
			"a reference for each holder");
	}
	expect(mem_live() == run.live + (n_alive - 1) * run.blocks_each, "no block too many");
}

static void
compare_holders(void)
{
	const struct model *m = &run.model;

	expect(run.r.snapshot == run.generations[m->current], "the main loop's snapshot");
	/* Before any worker has it, or what an older request decides would count as the newest word. */
	expect(atomic_load(&pipeline->desk.in_force) == (m->current == 0 ? NULL : run.r.snapshot),
		"approvals know which configuration is in force");
	expect(!m->is_closing || run.is_finished == (m->running == 0),
		"the end waits for a reload");
	expect((run.building != NULL) == m->is_pool_busy, "a build when one is due");
	for (int w = 0; w < WORKERS; w++) {
		const struct snapshot *s = run.requests[w];
		expect(worker_get_snapshot(&run.workers[w]) == run.generations[m->serving[w]],
			"a worker hands out what it has acknowledged");
		expect((s != NULL) == (m->request[w] != NONE), "a request holds its snapshot");
		if (s != NULL && m->request[w] != NONE)
			expect(s == run.generations[m->request[w]] &&
					snapshot_get_policy(s) == policies[m->request[w]],
				"a request sees one snapshot");
	}
}

/* As runtime_run ends and runtime_free goes on. */
static void
tear_down(void)
{
	run.model.is_closing = true;
	run.model.is_stopped = true;
	if (!reload_finish(&run.r)) {
		expect(false, "no reload is under way at the end");
		return;
	}
	for (int w = 0; w < WORKERS; w++)
		worker_fini(&run.workers[w]);
	while (run.model.main.n > 0)
		model_turn(&run.model, &run.model.main, NONE);
	loop_free(&run.r.loop);
	reload_fini(&run.r);
	compare_answers();
	for (int k = 1; k <= run.model.n_asked; k++)
		expect(run.n_done[k] == 1, "every reload is answered");
	snapshot_unref(&run.r.snapshot);
	for (int g = 0; g < GENERATIONS; g++) {
		bool is_open = fcntl(run.fds[g], F_GETFD) >= 0;
		expect(!is_open || run.generations[g] == NULL, "nothing is left of a snapshot");
		if (is_open)
			close(run.fds[g]);
	}
}

static void
follow(struct path *p, const struct plan *plan)
{
	long before = mem_live();

	set_up(plan);
	for (p->n = 0; run.broken == NULL && !model_is_over(&run.model); p->n++) {
		enum step enabled[STEPS];
		size_t n = 0;
		for (enum step s = MAIN; s < STEPS; s++) {
			if (model_can(&run.model, s))
				enabled[n++] = s;
		}
		if (n == 0)
			break;
		MUST(p->n < STEPS_MAX);
		p->n_enabled[p->n] = n;
		enum step s = enabled[p->choices[p->n]];
		p->steps[p->n] = s;
		take_step(s);
		model_step(&run.model, s);
		compare_answers();
		compare_snapshots();
		compare_holders();
	}
	if (run.broken == NULL)
		tear_down();
	expect(mem_live() == before, "nothing leaks");
}

/* Turns the last choice that has another one left; false when all were tried. */
static bool
turn_last_choice(struct path *p)
{
	size_t at = p->n;

	while (at > 0 && p->choices[at - 1] + 1 == p->n_enabled[at - 1])
		p->choices[--at] = 0;
	if (at > 0)
		p->choices[at - 1]++;
	return at > 0;
}

static void
fail_at(const struct path *p)
{
	char text[STEPS_MAX * 10];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < p->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", step_names[p->steps[i]]);
	FAIL("does not hold: %s; after%s", run.broken, text);
}

static void
try_orders(const struct plan *plan, size_t n_least)
{
	struct path path = {.n = 0};
	size_t n_orders = 0;

	do {
		follow(&path, plan);
		n_orders++;
	} while (run.broken == NULL && turn_last_choice(&path));
	if (run.broken != NULL)
		fail_at(&path);
	printf("      %zu orders\n", n_orders);
	CHECK(run.broken != NULL || n_orders >= n_least);
}

/* Refusals are errors in the log, thousands here. */
static void
try_orders_silently(const struct plan *plan, size_t n_least)
{
	int log = dup(STDERR_FILENO);
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);

	MUST(log >= 0 && nothing >= 0 && dup2(nothing, STDERR_FILENO) >= 0);
	try_orders(plan, n_least);
	MUST(dup2(log, STDERR_FILENO) >= 0);
	close(log);
	close(nothing);
}

static bool
is_long(void)
{
	const char *wish = getenv("NOMOS_TEST_LONG");

	return wish != NULL && strcmp(wish, "yes") == 0;
}

TEST(one_reload_and_requests_on_both_workers)
{
	static const struct plan plan = {
		.n_reloads = 1, .n_requests = {1, 1}, .is_first_by_worker = true};

	prepare();
	try_orders(&plan, 1000);
}

TEST(a_second_reload_at_any_time)
{
	static const struct plan plan = {
		.n_reloads = 2, .n_requests = {1, 0}, .is_first_by_worker = true};

	prepare();
	try_orders(&plan, 1000);
}

TEST(the_shutdown_at_any_time)
{
	static const struct plan plans[] = {
		{.n_reloads = 2, .may_stop = true},
		{.n_reloads = 1, .n_requests = {1, 1}, .may_stop = true},
		{.n_reloads = 2, .n_requests = {1, 0}, .may_stop = true},
	};

	prepare();
	/* All but the first have 440,000 orders together. */
	for (size_t i = 0; i < (is_long() ? ARRAY_LEN(plans) : 1); i++)
		try_orders(&plans[i], 1000);
}

TEST(reloads_that_are_refused)
{
	static const struct plan plans[] = {
		{.n_reloads = 2, .n_requests = {1, 0}, .is_load_bad = {[1] = true}},
		{.n_reloads = 2, .n_requests = {1, 0}, .is_load_bad = {[2] = true}},
		{.n_reloads = 2, .n_requests = {1, 0}, .record = {[2] = RECORD_LOST}},
		{.n_reloads = 2, .n_requests = {1, 0}, .record = {[1] = RECORD_REFUSED}},
	};

	prepare();
	for (size_t i = 0; i < ARRAY_LEN(plans); i++)
		try_orders_silently(&plans[i], 100);
}

SUITE("swap orders", TEST_ROW(one_reload_and_requests_on_both_workers),
	TEST_ROW(a_second_reload_at_any_time), TEST_ROW(the_shutdown_at_any_time),
	TEST_ROW(reloads_that_are_refused))
