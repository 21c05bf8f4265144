/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of decisions over generated policies and actions with fixed seeds: the compiled
 * evaluator agrees with the second one, rule order makes no difference, adding a DENY never allows,
 * the same question has the same answer.
 */
#include "eval.h"
#include "policy_priv.h"
#include "support/policy_compare.h"
#include "support/policy_fixture.h"
#include "support/policy_gen.h"
#include "support/test.h"

#define POLICIES 2500
#define ACTIONS 100

static struct policy *
load_text(struct span text)
{
	struct policy_options none = {0};
	struct policy_source src = {.path = SPAN_LIT("gen.json"), .bytes = text};
	struct errinfo ei = {0};
	struct policy *p = NULL;

	if (policy_load(&src, 1, &none, &p, &ei) != OK)
		FAIL("generated bundle does not load: %s\n%.*s", ei.msg, SPAN_ARG(text));
	return p;
}

TEST(compiled_and_plain_evaluator_agree)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct arena *request = arena_new(FIXTURE_ARENA_BYTES);
	size_t n_by_verdict[VERDICT__MAX] = {0};
	size_t n_bad = 0;

	CHECK_INT(hash_init(NULL), OK);
	for (uint64_t seed = 1; seed <= POLICIES && n_bad < 5; seed++) {
		struct policy_gen g = {.state = seed};
		const struct json *tree = NULL;
		struct buf text;
		arena_reset(a);
		buf_init_arena(&text, a, 1 << 20);
		policy_gen_bundle(&g, 1 + (uint32_t)seed % 40, NULL, &text);
		struct policy *p = load_text(buf_span(&text));
		CHECK_INT(json_parse(buf_span(&text), a, &tree, NULL, NULL), OK);
		for (int i = 0; i < ACTIONS && p != NULL && tree != NULL; i++) {
			struct reference_action ra;
			struct reference_decision want;
			struct decision got;
			arena_reset(request);
			if (!policy_gen_action(&g, request, &ra))
				break;
			struct action action = compare_action(&ra);
			reference_decide(tree, &ra, &want);
			if (policy_eval(p, &action, request, &got) != OK)
				FAIL("evaluation failed");
			const char *what = compare_decisions(&got, &want);
			n_by_verdict[got.verdict]++;
			if (what == NULL)
				continue;
			n_bad++;
			FAIL("seed %llu: %s differs for %.*s %.*s (%.*s): %s, not %s\n%.*s",
				(unsigned long long)seed, what, SPAN_ARG(ra.action_type),
				SPAN_ARG(ra.resource), SPAN_ARG(ra.principal),
				verdict_name(got.verdict), want.verdict, SPAN_ARG(buf_span(&text)));
		}
		policy_unref(&p);
	}
	/* The comparison means something only when every verdict is frequent. */
	for (int v = 0; v < VERDICT__MAX; v++)
		CHECK(n_by_verdict[v] > POLICIES * ACTIONS / 50);
	arena_free(&request);
	arena_free(&a);
}

static bool
is_same(const struct decision *x, const struct decision *y)
{
	if (x->verdict != y->verdict || x->reason != y->reason || x->n_rule_ids != y->n_rule_ids ||
		!span_eq(x->obligations.canonical, y->obligations.canonical))
		return false;
	for (size_t i = 0; i < x->n_rule_ids; i++) {
		if (!span_eq(x->rule_ids[i], y->rule_ids[i]))
			return false;
	}
	return true;
}

/* The bundle with its rules in reverse order. */
static struct span
reverse(struct span text, struct arena *a)
{
	const struct json *tree = NULL;
	struct buf b;

	CHECK_INT(json_parse(text, a, &tree, NULL, NULL), OK);
	const struct json *rules = json_find_cstr(tree, "rules");
	const struct json **v = ARENA_ARRAY(a, const struct json *, rules->n);
	size_t n = 0;
	for (const struct json *r = rules->first; r != NULL; r = r->next)
		v[n++] = r;
	buf_init_arena(&b, a, 1 << 20);
	BUF_ADD_LIT(&b, "{\"rules\":[");
	while (n > 0) {
		buf_add_span(&b, v[--n]->source);
		if (n > 0)
			buf_add_char(&b, ',');
	}
	BUF_ADD_LIT(&b, "],\"version\":\"v1\"}");
	return buf_span(&b);
}

TEST(rule_order_never_matters)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);

	CHECK_INT(hash_init(NULL), OK);
	for (uint64_t seed = 1; seed <= 400; seed++) {
		struct policy_gen g = {.state = seed * 7919};
		struct buf text;
		arena_reset(a);
		buf_init_arena(&text, a, 1 << 20);
		policy_gen_bundle(&g, 30, NULL, &text);
		struct policy *p = load_text(buf_span(&text));
		struct policy *q = load_text(reverse(buf_span(&text), a));
		for (int i = 0; i < 50 && p != NULL && q != NULL; i++) {
			struct reference_action ra;
			struct decision x;
			struct decision y;
			CHECK(policy_gen_action(&g, a, &ra));
			struct action action = compare_action(&ra);
			CHECK_INT(policy_eval(p, &action, a, &x), OK);
			CHECK_INT(policy_eval(q, &action, a, &y), OK);
			if (!is_same(&x, &y))
				FAIL("seed %llu: order matters: %.*s and %.*s",
					(unsigned long long)seed, SPAN_ARG(x.obligations.canonical),
					SPAN_ARG(y.obligations.canonical));
		}
		policy_unref(&p);
		policy_unref(&q);
	}
	arena_free(&a);
}

TEST(adding_a_deny_never_allows)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	size_t n_narrowed = 0;

	CHECK_INT(hash_init(NULL), OK);
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct policy_gen g = {.state = seed * 104729};
		struct buf text;
		struct buf more;
		struct buf deny;
		arena_reset(a);
		buf_init_arena(&text, a, 1 << 20);
		buf_init_arena(&more, a, 1 << 20);
		buf_init_arena(&deny, a, 1 << 16);
		struct policy_gen again = g;
		policy_gen_bundle(&g, 30, NULL, &text);
		policy_gen_rule(&g, "zz-deny", "DENY", &deny);
		buf_add_char(&deny, '\0');
		policy_gen_bundle(&again, 30, buf_span(&deny).p, &more);
		struct policy *p = load_text(buf_span(&text));
		struct policy *q = load_text(buf_span(&more));
		for (int i = 0; i < 50 && p != NULL && q != NULL; i++) {
			struct reference_action ra;
			struct decision x;
			struct decision y;
			CHECK(policy_gen_action(&g, a, &ra));
			struct action action = compare_action(&ra);
			CHECK_INT(policy_eval(p, &action, a, &x), OK);
			CHECK_INT(policy_eval(q, &action, a, &y), OK);
			/* Verdicts are ordered by what they permit. */
			CHECK(y.verdict <= x.verdict);
			n_narrowed += y.verdict < x.verdict ? 1 : 0;
		}
		policy_unref(&p);
		policy_unref(&q);
	}
	CHECK(n_narrowed > 100);
	arena_free(&a);
}

TEST(the_same_question_has_the_same_answer)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);
	struct arena *other = arena_new(FIXTURE_ARENA_BYTES);
	struct policy_gen g = {.state = 4711};
	struct buf text;

	CHECK_INT(hash_init(NULL), OK);
	buf_init_arena(&text, a, 1 << 20);
	policy_gen_bundle(&g, 60, NULL, &text);
	struct policy *p = load_text(buf_span(&text));
	struct policy *q = load_text(buf_span(&text));
	for (int i = 0; i < 2000 && p != NULL && q != NULL; i++) {
		struct reference_action ra;
		struct decision x;
		struct decision y;
		CHECK(policy_gen_action(&g, a, &ra));
		struct action action = compare_action(&ra);
		CHECK_INT(policy_eval(p, &action, a, &x), OK);
		CHECK_INT(policy_eval(q, &action, other, &y), OK);
		CHECK(is_same(&x, &y));
		arena_reset(other);
	}
	policy_unref(&p);
	policy_unref(&q);
	arena_free(&other);
	arena_free(&a);
}

/* The test that explain uses and the one that decides are the same predicate. */
TEST(first_failing_condition_and_match_agree)
{
	struct arena *a = arena_new(FIXTURE_ARENA_BYTES);

	CHECK_INT(hash_init(NULL), OK);
	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct policy_gen g = {.state = seed * 31337};
		struct buf text;
		arena_reset(a);
		buf_init_arena(&text, a, 1 << 20);
		policy_gen_bundle(&g, 30, NULL, &text);
		struct policy *p = load_text(buf_span(&text));
		for (int i = 0; i < 50 && p != NULL; i++) {
			struct reference_action ra;
			struct eval_classes m;
			size_t n = 0;
			CHECK(policy_gen_action(&g, a, &ra));
			struct action action = compare_action(&ra);
			struct rule_query q = index_resolve(p->index, &action);
			CHECK(eval_match(p, &action, a, &m));
			for (size_t r = 0; r < p->n_rules; r++) {
				bool is_match = rule_head_matches(&p->heads[r], &q);
				CHECK((rule_test(p->rules[r], &q) == RULE_MATCHES) == is_match);
				n += is_match ? 1 : 0;
			}
			CHECK_INT(m.n[VERDICT_DENY] + m.n[VERDICT_REQUIRE_APPROVAL] +
					  m.n[VERDICT_ALLOW],
				n);
		}
		policy_unref(&p);
	}
	arena_free(&a);
}

SUITE("policy properties", TEST_ROW(compiled_and_plain_evaluator_agree),
	TEST_ROW(rule_order_never_matters), TEST_ROW(adding_a_deny_never_allows),
	TEST_ROW(the_same_question_has_the_same_answer),
	TEST_ROW(first_failing_condition_and_match_agree))
