/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What one evaluation costs, the action being normal already: over a generated policy with actions that hit and miss it, and for
 * patterns that cost most.
 *
 *     bench_eval MILLISECONDS [BUNDLE ACTIONS]      without files: the patterns alone
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "bench.h"
#include "policy/policy.h"

#define ACTIONS_MAX 2000
#define STORE_BYTES ((size_t)64 * 1024 * 1024)
#define EVAL_BYTES ((size_t)1024 * 1024)
#define EVALS_PER_SAMPLE 64

static struct policy *
load(const char *path, struct span text)
{
	const struct policy_options options = {0};
	const struct policy_source source = {.path = span_cstr(path), .bytes = text};
	struct policy *p = NULL;
	struct errinfo ei;

	if (policy_load(&source, 1, &options, &p, &ei) != OK)
		bench_fail(path, ei.msg);
	return p;
}

static const struct action *
make_action(struct span body, struct arena *a)
{
	const struct identity who = {SPAN_LIT("user1"), SPAN_LIT("bot"), SPAN_LIT("dev")};
	struct action *action = NULL;
	struct errinfo ei;

	enum err rc = action_parse(body, a, &action, &ei);
	if (rc == OK)
		rc = action_normalize(action, &who, a, &ei);
	if (rc != OK)
		bench_fail("action", ei.msg);
	return action;
}

/* Nanoseconds per evaluation of the actions in turn. */
static void
measure(const struct policy *p, const struct action *const *actions, size_t n, int64_t budget_ns,
	const char *name)
{
	static struct bench_series series;
	struct arena *a = arena_new(EVAL_BYTES);
	struct decision d;
	char label[128];
	size_t at = 0;

	series.n = 0;
	int64_t end = clock_mono_ns() + budget_ns;
	while (series.n == 0 || (clock_mono_ns() < end && series.n < BENCH_SERIES_MAX)) {
		int64_t begin = clock_mono_ns();
		for (size_t i = 0; i < EVALS_PER_SAMPLE; i++) {
			if (policy_eval(p, actions[at], a, &d) != OK)
				bench_fail(name, "the arena is full");
			arena_reset(a);
			at = at + 1 < n ? at + 1 : 0;
		}
		bench_add(&series, (clock_mono_ns() - begin) / EVALS_PER_SAMPLE);
	}
	snprintf(label, sizeof(label), "%s_p50", name);
	bench_print(label, (double)bench_quantile(&series, 0.5), "ns");
	snprintf(label, sizeof(label), "%s_p99", name);
	bench_print(label, (double)bench_quantile(&series, 0.99), "ns");
	arena_free(&a);
}

static void
measure_files(const char *bundle, const char *bodies, int64_t budget_ns)
{
	static const struct action *actions[ACTIONS_MAX];
	struct policy *p = load(bundle, bench_read_file(bundle));
	struct arena *store = arena_new(STORE_BYTES);
	struct span rest = bench_read_file(bodies);
	size_t n = 0;

	while (rest.n > 0 && n < ACTIONS_MAX) {
		size_t line = span_find(rest, '\n');
		actions[n++] = make_action(span_of(rest.p, line), store);
		rest = span_from(rest, line < rest.n ? line + 1 : line);
	}
	if (n == 0)
		bench_fail(bodies, "no actions");
	measure(p, actions, n, budget_ns, "eval");
	arena_free(&store);
	policy_unref(&p);
}

/* A body near the limit of 32 KiB of params: tokens of one letter that almost match. */
static struct span
build_argv_body(struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, ACTION_BODY_BYTES_MAX);
	BUF_ADD_LIT(&b,
		"{\"schema_version\":\"v1\",\"action_id\":\"a\",\"action_type\":\"process.exec\","
		"\"resource\":\"file://workspace/"
		"\",\"trace_id\":\"t\",\"context\":{\"extensions\":{}},"
		"\"params\":{\"argv\":[\"ab\"");
	while (b.n < 32 * 1024)
		BUF_ADD_LIT(&b, ",\"a\"");
	BUF_ADD_LIT(&b, "]}}");
	return buf_span(&b);
}

static struct span
build_path_body(struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, ACTION_BODY_BYTES_MAX);
	BUF_ADD_LIT(&b,
		"{\"schema_version\":\"v1\",\"action_id\":\"a\",\"action_type\":\"fs.read\","
		"\"params\":{},\"trace_id\":\"t\",\"context\":{\"extensions\":{}},"
		"\"resource\":\"file://workspace/ab");
	while (b.n < 4000)
		BUF_ADD_LIT(&b, "/a");
	BUF_ADD_LIT(&b, "\"}");
	return buf_span(&b);
}

static void
measure_worst(int64_t budget_ns)
{
	static const char bundle[] =
		"{\"version\":\"v1\",\"rules\":["
		"{\"id\":\"argv\",\"action_type\":\"process.exec\",\"resource\":\"**\","
		"\"decision\":\"ALLOW\",\"exec_match\":"
		"{\"argv_patterns\":[[\"**\",\"a\",\"**\",\"a\",\"**\",\"a\",\"**\",\"a\",\"**\","
		"\"*a*a*b\"]]}},"
		"{\"id\":\"path\",\"action_type\":\"fs.read\",\"resource\":"
		"\"file://workspace/**/a/**/a/**/a/**/a/**/*a*b*/**\",\"decision\":\"ALLOW\"}]}";
	struct policy *p = load("worst.json", SPAN_LIT(bundle));
	struct arena *store = arena_new(STORE_BYTES);
	const struct action *argv = make_action(build_argv_body(store), store);
	const struct action *path = make_action(build_path_body(store), store);

	measure(p, &argv, 1, budget_ns, "worst_argv");
	measure(p, &path, 1, budget_ns, "worst_path");
	arena_free(&store);
	policy_unref(&p);
}

int
main(int argc, char **argv)
{
	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: bench_eval MILLISECONDS [BUNDLE ACTIONS]\n");
		return 2;
	}
	int64_t budget_ns = bench_read_number(argv[1], 60000) * NS_PER_MS;
	if (argc == 4)
		measure_files(argv[2], argv[3], budget_ns);
	else
		measure_worst(budget_ns);
	return 0;
}
