/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory runs out at each allocation of a load, of a decision and of an explanation in turn: an
 * error or a deny, an empty out-parameter, nothing kept. The libraries are not made to fail here.
 */
#include <string.h>

#include "base/mem.h"
#include "support/policy_fixture.h"
#include "support/policy_gen.h"
#include "support/test.h"

#define TRIES_MAX 20000

static char generated[1 << 18];

static const char yaml[] =
	"version: v1\nrules:\n"
	"- {id: git, action_type: process.exec, resource: 'file://workspace/', decision: ALLOW, "
	"principals: [p1, p2],\n"
	"   exec_match: {argv_patterns: [[git, '**'], [ls, '-*']]}, obligations: {sandbox_mode: "
	"ci, note: {a: [1.5, x]}}}\n"
	"- {id: any, action_type: '*', resource: '**', decision: ALLOW, agents: [a1], risk_flags: "
	"[risk.exec],\n"
	"   obligations: {output_max_bytes: 10, net_allowlist: [a, b], approvers: {principals: "
	"[x], min: 1}}}\n"
	"- {id: ask, action_type: process.exec, resource: '**', decision: REQUIRE_APPROVAL,\n"
	"   obligations: {net_allowlist: [b], approvers: {principals: [x, y], min: 2}, note: 2}}\n";

static enum err
load_both(struct policy **out)
{
	struct policy_options o = {0};
	struct policy_source s[2] = {
		{.path = SPAN_LIT("a.yaml"), .role = SPAN_LIT("org"), .bytes = span_cstr(yaml)},
		{.path = SPAN_LIT("b.json"), .bytes = span_cstr(generated)},
	};

	return policy_load(s, 2, &o, out, NULL);
}

static void
generate(void)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct policy_gen g = {.state = 99};
	struct buf b;

	buf_init_arena(&b, a, sizeof(generated) - 1);
	policy_gen_bundle(&g, 40, NULL, &b);
	memcpy(generated, buf_span(&b).p, buf_span(&b).n);
	arena_free(&a);
}

TEST(load_fails_cleanly_at_each_allocation)
{
	unsigned long n = 0;
	struct policy *p = NULL;
	bool was_hit = true;

	generate();
	CHECK_INT(hash_init(NULL), OK);
	/* Twice, for what is made once per process or thread and kept. */
	for (int i = 0; i < 2; i++) {
		CHECK_INT(load_both(&p), OK);
		policy_unref(&p);
	}
	while (was_hit && n < TRIES_MAX) {
		long live = mem_live();
		unsigned long count = mem_count();
		mem_fail_at(++n);
		enum err rc = load_both(&p);
		was_hit = mem_count() - count >= n;
		mem_fail_at(0);
		if (was_hit && rc != ERR_NOMEM && rc != ERR_TOO_LARGE)
			FAIL("allocation %lu failed and the load said %s", n, err_name(rc));
		CHECK((p != NULL) == (rc == OK));
		policy_unref(&p);
		CHECK_INT(mem_live() - live, 0);
	}
	CHECK(n > 5 && n < TRIES_MAX);
}

/* One decision and one explanation in an arena of their own. */
static enum err
ask(const struct policy *p, const struct action *action, struct decision *d)
{
	static const struct policy_explain_options o = {
		.suggestions = true, .with_near_misses = true};
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct buf b;

	*d = (struct decision){0};
	if (a == NULL)
		return ERR_NOMEM;
	buf_init(&b, BUF_CAP_REPLY);
	enum err rc = policy_eval(p, action, a, d);
	if (rc == OK)
		rc = policy_explain(p, action, a, &o, &b, NULL);
	/* What points into the arena goes with it. */
	d->rule_ids = NULL;
	d->obligations = (struct obligations){0};
	buf_fini(&b);
	arena_free(&a);
	return rc;
}

TEST(evaluation_denies_at_each_allocation)
{
	struct arena *whole = arena_new(FIXTURE_ARENA_BYTES);
	struct policy *p = fixture_policy("a.yaml", yaml);
	struct action *action =
		fixture_action(whole, (struct fixture_action){.type = "process.exec",
					      .resource = "file://workspace/",
					      .params = "{\"argv\":[\"git\",\"push\"]}"});
	struct decision d;
	unsigned long n = 0;
	bool was_hit = true;

	if (p == NULL || action == NULL)
		return;
	CHECK_INT(ask(p, action, &d), OK);
	CHECK_INT(d.verdict, VERDICT_REQUIRE_APPROVAL);
	while (was_hit && n < TRIES_MAX) {
		long live = mem_live();
		unsigned long count = mem_count();
		mem_fail_at(++n);
		enum err rc = ask(p, action, &d);
		was_hit = mem_count() - count >= n;
		mem_fail_at(0);
		CHECK((rc == OK) == !was_hit);
		CHECK(d.verdict == VERDICT_DENY || d.verdict == VERDICT_REQUIRE_APPROVAL);
		CHECK_INT(mem_live() - live, 0);
	}
	CHECK(n > 1 && n < TRIES_MAX);
	policy_unref(&p);
	arena_free(&whole);
}

SUITE("policy out of memory", TEST_ROW(load_fails_cleanly_at_each_allocation),
	TEST_ROW(evaluation_denies_at_each_allocation))
