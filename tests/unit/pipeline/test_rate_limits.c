/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Rate rules: a corpus of steps, changed rates, dead patterns. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/must.h"
#include "base/parse.h"
#include "limit/bucket_table.h"
#include "limit/rate_limits.h"
#include "support/cases.h"
#include "support/test.h"

enum { RULES_MAX = 4 };

struct stage {
	struct rate_rule_section rules[3][RULES_MAX];
	size_t n_rules[3];
	struct arena *arena; /* of rules and their texts */
	struct arena *scratch;
	struct bucket_table *buckets;
	const struct rate_limits *limits;
};

static void
stage_clear(struct stage *s)
{
	arena_reset(s->arena);
	bucket_table_free(&s->buckets);
	s->buckets = bucket_table_new();
	MUST(s->buckets != NULL);
	memset(s->n_rules, 0, sizeof(s->n_rules));
	s->limits = NULL;
}

static void
stage_init(struct stage *s)
{
	*s = (struct stage){.arena = arena_new(1 << 20), .scratch = arena_new(1 << 20)};
	MUST(s->arena != NULL && s->scratch != NULL);
	stage_clear(s);
}

static void
stage_fini(struct stage *s)
{
	bucket_table_free(&s->buckets);
	arena_free(&s->arena);
	arena_free(&s->scratch);
}

static struct rate_limits_section
options_of(struct stage *s)
{
	struct rate_limits_section o = {.enabled = true,
		.evict_after_seconds = 3600,
		.max_buckets = 100,
		.max_buckets_per_principal = 50};

	o.principal_action.v = s->rules[0];
	o.principal_action.n = s->n_rules[0];
	o.principal_resource.v = s->rules[1];
	o.principal_resource.n = s->n_rules[1];
	o.global_tool.v = s->rules[2];
	o.global_tool.n = s->n_rules[2];
	return o;
}

static void
compile(struct stage *s)
{
	struct rate_limits_section o = options_of(s);

	if (s->limits == NULL)
		MUST(rate_limits_new(&o, s->arena, &s->limits, NULL) == OK);
}

static int64_t
number(struct span text)
{
	uint64_t v;

	MUST(parse_uint(text, 1000000000, &v));
	return (int64_t)v;
}

static void
add_rule(struct stage *s, const struct cases_row *row)
{
	size_t list = span_eq_cstr(row->field[1], "principal_action")     ? 0
		      : span_eq_cstr(row->field[1], "principal_resource") ? 1
									  : 2;

	MUST(s->n_rules[list] < RULES_MAX);
	s->rules[list][s->n_rules[list]++] = (struct rate_rule_section){
		.id = arena_dup(s->arena, row->field[2]),
		.principal = arena_dup(s->arena, row->field[3]),
		.action_type = arena_dup(s->arena, row->field[4]),
		.resource = arena_dup(s->arena, row->field[5]),
		.burst = number(row->field[6]),
		.refill_per_minute = number(row->field[7]),
	};
}

static enum err
act(struct stage *s, struct span principal, struct span type, struct span resource,
	struct rate_refusal *refusal)
{
	struct action action = {.action_type = type, .resource = {.text = resource}};

	compile(s);
	arena_reset(s->scratch);
	action.identity.principal = principal;
	return rate_limits_take(s->limits, s->buckets, &action, s->scratch, refusal);
}

static void
run_row(const struct cases_row *row, void *arg)
{
	struct stage *s = arg;
	struct rate_refusal r;
	enum err rc;

	if (span_eq_cstr(row->field[0], "rules")) {
		stage_clear(s);
	} else if (span_eq_cstr(row->field[0], "rule")) {
		add_rule(s, row);
	} else if (span_eq_cstr(row->field[0], "wait")) {
		clock_fake_advance(number(row->field[1]) * NS_PER_MS);
	} else {
		rc = act(s, row->field[1], row->field[2], row->field[3], &r);
		if (span_eq_cstr(row->field[4], "->")
				? rc != OK
				: rc != ERR_RATE || !span_eq(r.rule_id, row->field[5]) ||
					  !span_eq(r.bucket_key, row->field[6]) ||
					  r.remaining_tokens != number(row->field[7]))
			FAIL("%s:%d: %s by %.*s, %.*s", row->file, row->line, err_name(rc),
				SPAN_ARG(r.rule_id), SPAN_ARG(r.bucket_key));
	}
}

TEST(corpus)
{
	struct stage s;

	stage_init(&s);
	clock_fake_set(NS_PER_SEC, 0);
	CHECK(cases_each("ratelimit/rules.cases", run_row, &s) > 40);
	clock_fake_off();
	stage_fini(&s);
}

TEST(a_changed_rate_is_another_bucket)
{
	struct stage s;
	struct rate_refusal r;
	struct span alice = SPAN_LIT("alice");
	struct span type = SPAN_LIT("pay.list");
	struct span resource = SPAN_LIT("pay://a/1");

	stage_init(&s);
	clock_fake_set(NS_PER_SEC, 0);
	s.rules[0][0] = (struct rate_rule_section){
		.id = SPAN_LIT(" r "), .action_type = type, .burst = 1, .refill_per_minute = 1};
	s.n_rules[0] = 1;
	CHECK_INT(act(&s, alice, type, resource, &r), OK);
	CHECK_INT(act(&s, alice, type, resource, &r), ERR_RATE);
	CHECK_SPAN(r.rule_id, "r");
	CHECK_STR(r.scope, "principal_action");
	CHECK_INT(r.refill_per_minute, 1);
	/* The same again, as after a reload. */
	s.limits = NULL;
	CHECK_INT(act(&s, alice, type, resource, &r), ERR_RATE);
	s.rules[0][0].refill_per_minute = 2;
	s.limits = NULL;
	CHECK_INT(act(&s, alice, type, resource, &r), OK);
	clock_fake_off();
	stage_fini(&s);
}

TEST(a_rule_that_can_never_match_is_refused)
{
	struct stage s;
	struct rate_limits_section o;
	struct errinfo ei;

	stage_init(&s);
	s.rules[1][0] = (struct rate_rule_section){.id = SPAN_LIT("dead"),
		.resource = SPAN_LIT("a\\b"),
		.burst = 1,
		.refill_per_minute = 1};
	s.n_rules[1] = 1;
	o = options_of(&s);
	CHECK_INT(rate_limits_new(&o, s.arena, &s.limits, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, "rate limit rule dead: its resource can never match");
	s.n_rules[1] = 0;
	o = options_of(&s);
	CHECK_INT(rate_limits_new(&o, s.arena, &s.limits, &ei), OK);
	CHECK(s.limits == NULL);
	stage_fini(&s);
}

TEST(an_arena_that_is_full_lets_nothing_through)
{
	struct stage s;
	struct rate_refusal r;
	struct action action = {.action_type = SPAN_LIT("pay.list")};
	struct arena *tiny = arena_new(16);

	stage_init(&s);
	s.rules[0][0] = (struct rate_rule_section){.id = SPAN_LIT("r"),
		.action_type = SPAN_LIT("*"),
		.burst = 1,
		.refill_per_minute = 1};
	s.n_rules[0] = 1;
	compile(&s);
	action.identity.principal = SPAN_LIT("alice");
	CHECK_INT(rate_limits_take(s.limits, s.buckets, &action, tiny, &r), ERR_TOO_LARGE);
	CHECK_INT(bucket_table_count(s.buckets), 0);
	arena_free(&tiny);
	stage_fini(&s);
}

/* The table keeps a few hundred bytes of a key, whatever the length of the resource; the record still shows it whole. */
TEST(a_long_resource_makes_a_short_key)
{
	static char resource[8192];
	static char want[8300];
	struct stage s;
	struct rate_refusal r;
	struct span alice = SPAN_LIT("alice");
	struct span type = SPAN_LIT("pay.list");

	stage_init(&s);
	clock_fake_set(NS_PER_SEC, 0);
	memset(resource, 'x', sizeof(resource));
	s.rules[1][0] = (struct rate_rule_section){.id = SPAN_LIT("r"),
		.resource = SPAN_LIT("**"),
		.burst = 1,
		.refill_per_minute = 1};
	s.n_rules[1] = 1;
	/* A byte at the far end is another resource. */
	for (char last = 'a'; last <= 'e'; last++) {
		resource[sizeof(resource) - 1] = last;
		CHECK_INT(act(&s, alice, type, span_of(resource, sizeof(resource)), &r), OK);
		CHECK(arena_used(s.scratch) < 2048);
	}
	CHECK_INT(bucket_table_count(s.buckets), 5);
	CHECK_INT(act(&s, alice, type, span_of(resource, sizeof(resource)), &r), ERR_RATE);
	snprintf(want, sizeof(want), "principal_resource|r|alice|%.*s", (int)sizeof(resource),
		resource);
	CHECK_SPAN(r.bucket_key, want);
	clock_fake_off();
	stage_fini(&s);
}

SUITE("rate_limits", TEST_ROW(a_long_resource_makes_a_short_key), TEST_ROW(corpus),
	TEST_ROW(a_changed_rate_is_another_bucket),
	TEST_ROW(a_rule_that_can_never_match_is_refused),
	TEST_ROW(an_arena_that_is_full_lets_nothing_through))
