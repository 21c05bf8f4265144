/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules to bucket keys. The part of a key that people see comes first and is what the reference prints; behind a NUL byte
 * stand the principal and the rate, so that no name can imitate another bucket and a changed rate starts afresh. The table
 * gets the short form of a long key. Any thread.
 */
#include "limit/rate_limits.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/glob.h"
#include "limit/bucket_table.h"

enum rate_scope { SCOPE_PRINCIPAL_ACTION = 0, SCOPE_PRINCIPAL_RESOURCE, SCOPE_GLOBAL_TOOL };

static const char *const scope_names[] = {"principal_action", "principal_resource", "global_tool"};

enum {
	COARSE_IDLE_SECONDS = 300, /* a bucket per minute is full long before */
	COARSE_BUCKETS_MAX = 1000000,
	KEY_PARTS_MAX = 10, /* four with a bar between each two, and the three that are not shown */
};

struct rate_rule {
	enum rate_scope scope;
	struct span id;
	struct span principal;   /* empty: any */
	struct span action_type; /* empty: any */
	struct glob *resource;   /* NULL: any */
	int64_t burst;
	int64_t refill_per_minute;
	struct span rate; /* both, for the key */
};

struct rate_limits {
	struct rate_rule *rules;
	size_t n_rules;
	size_t max_buckets;
	size_t max_buckets_per_principal;
	int64_t evict_after_ns;
};

static struct span
exact_or_any(struct arena *a, struct span text)
{
	return text.n == 0 || span_eq_cstr(text, "*") ? SPAN_NONE : arena_dup(a, text);
}

static enum err
compile_rule(const struct rate_rule_section *from, enum rate_scope scope, struct arena *a,
	struct rate_rule *to, struct errinfo *ei)
{
	struct span id = span_trim(from->id);

	*to = (struct rate_rule){
		.scope = scope,
		.id = arena_dup(a, id),
		.principal = exact_or_any(a, from->principal),
		.action_type = exact_or_any(a, from->action_type),
		.burst = from->burst,
		.refill_per_minute = from->refill_per_minute,
		.rate = arena_printf(a, "|%lld|%lld", (long long)from->burst,
			(long long)from->refill_per_minute),
	};
	if (from->resource.n == 0)
		return OK;
	to->resource = glob_new(a, from->resource);
	if (to->resource == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for rate limits");
	/* A limit that never matches would be no limit. */
	if (glob_is_dead(to->resource))
		return ERR(ei, ERR_INVALID, "rate limit rule %.*s: its resource can never match",
			SPAN_ARG(id));
	return OK;
}

enum err
rate_limits_new(const struct rate_limits_section *options, struct arena *a,
	const struct rate_limits **out, struct errinfo *ei)
{
	const struct rate_rule_section *lists[] = {
		options->principal_action.v, options->principal_resource.v, options->global_tool.v};
	const size_t counts[] = {
		options->principal_action.n, options->principal_resource.n, options->global_tool.n};
	struct rate_limits *r = ARENA_NEW(a, struct rate_limits);
	size_t n = counts[0] + counts[1] + counts[2];

	*out = NULL;
	if (r == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for rate limits");
	if (n == 0)
		return OK;
	r->rules = ARENA_ARRAY(a, struct rate_rule, n);
	if (r->rules == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for rate limits");
	r->max_buckets = (size_t)options->max_buckets;
	r->max_buckets_per_principal = (size_t)options->max_buckets_per_principal;
	r->evict_after_ns = options->evict_after_seconds * NS_PER_SEC;
	for (size_t l = 0; l < ARRAY_LEN(lists); l++)
		for (size_t i = 0; i < counts[l]; i++) {
			enum err rc = compile_rule(
				&lists[l][i], (enum rate_scope)l, a, &r->rules[r->n_rules++], ei);

			if (rc != OK)
				return rc;
		}
	if (arena_failed(a))
		return ERR(ei, ERR_NOMEM, "out of memory for rate limits");
	*out = r;
	return OK;
}

static bool
rule_matches(const struct rate_rule *rule, const struct action *action)
{
	if (rule->principal.n > 0 && !span_eq(rule->principal, action->identity.principal))
		return false;
	if (rule->action_type.n > 0 && !span_eq(rule->action_type, action->action_type))
		return false;
	return rule->resource == NULL || glob_match(rule->resource, action->resource.text);
}

/* What people see of a bucket's key; the number of parts. */
static size_t
shown_parts(
	const struct rate_rule *rule, const struct action *action, struct span parts[KEY_PARTS_MAX])
{
	struct span bar = SPAN_LIT("|");
	size_t n = 0;

	parts[n++] = span_cstr(scope_names[rule->scope]);
	parts[n++] = bar;
	parts[n++] = rule->id;
	parts[n++] = bar;
	if (rule->scope != SCOPE_GLOBAL_TOOL) {
		parts[n++] = action->identity.principal;
		parts[n++] = bar;
	}
	parts[n++] = rule->scope == SCOPE_PRINCIPAL_RESOURCE ? action->resource.text
							     : action->action_type;
	return n;
}

/* {NULL, 0} when the arena is full. */
static struct span
shown_key(const struct rate_rule *rule, const struct action *action, struct arena *a)
{
	struct span parts[KEY_PARTS_MAX];
	size_t n_parts = shown_parts(rule, action, parts);
	struct buf b;

	buf_init_arena(&b, a, BUF_CAP_RECORD);
	for (size_t i = 0; i < n_parts; i++)
		buf_add_span(&b, parts[i]);
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

/* The key in the table: what people see, the principal, the rate. {NULL, 0} when the arena is full. */
static struct span
table_key(const struct rate_rule *rule, const struct action *action, struct arena *a)
{
	struct span parts[KEY_PARTS_MAX];
	size_t n = shown_parts(rule, action, parts);
	char room[BUCKET_KEY_BYTES_MAX];

	parts[n++] = span_of("", 1);
	if (rule->scope != SCOPE_GLOBAL_TOOL)
		parts[n++] = action->identity.principal;
	parts[n++] = rule->rate;
	return arena_dup(a, bucket_key_join(parts, n, room));
}

struct match {
	struct span key;
	const struct rate_rule *rule;
};

static int
compare_matches(const void *left, const void *right)
{
	const struct match *l = left;
	const struct match *r = right;

	return span_cmp(l->key, r->key);
}

static size_t
find_matches(const struct rate_limits *rules, const struct action *action, struct arena *a,
	struct match *matches)
{
	size_t n = 0;

	for (size_t i = 0; i < rules->n_rules; i++) {
		if (!rule_matches(&rules->rules[i], action))
			continue;
		matches[n++] =
			(struct match){table_key(&rules->rules[i], action, a), &rules->rules[i]};
	}
	if (n > 1)
		qsort(matches, n, sizeof(*matches), compare_matches);
	return n;
}

enum err
rate_limits_take(const struct rate_limits *rules, struct bucket_table *t,
	const struct action *action, struct arena *a, struct rate_refusal *refusal)
{
	struct bucket_request request;
	struct bucket_refusal refused;
	struct match *matches;
	size_t n;

	*refusal = (struct rate_refusal){.scope = ""};
	if (rules == NULL)
		return OK;
	matches = ARENA_ARRAY(a, struct match, rules->n_rules);
	n = matches != NULL ? find_matches(rules, action, a, matches) : 0;
	request = (struct bucket_request){
		.owner = action->identity.principal,
		.demands = ARENA_ARRAY(a, struct bucket_demand, n),
		.n_demands = n,
		.max_buckets = rules->max_buckets,
		.max_buckets_per_owner = rules->max_buckets_per_principal,
		.evict_after_ns = rules->evict_after_ns,
	};
	if (arena_failed(a) || request.demands == NULL)
		return ERR_TOO_LARGE;
	for (size_t i = 0; i < n; i++)
		request.demands[i] = (struct bucket_demand){
			.key = matches[i].key,
			.burst = matches[i].rule->burst,
			.refill_per_minute = matches[i].rule->refill_per_minute,
			.is_shared = matches[i].rule->scope == SCOPE_GLOBAL_TOOL,
		};
	if (n == 0 || bucket_table_take(t, &request, &refused))
		return OK;
	*refusal = (struct rate_refusal){
		.rule_id = matches[refused.i].rule->id,
		.scope = scope_names[matches[refused.i].rule->scope],
		.bucket_key = shown_key(matches[refused.i].rule, action, a),
		.remaining_tokens = refused.remaining,
		.refill_per_minute = matches[refused.i].rule->refill_per_minute,
	};
	return arena_failed(a) ? ERR_TOO_LARGE : ERR_RATE;
}

enum err
rate_limits_take_coarse(struct bucket_table *t, struct span principal, struct span key,
	int64_t per_minute, int64_t *wait_ns)
{
	char room[BUCKET_KEY_BYTES_MAX];
	struct bucket_demand demand = {.key = bucket_key_join(&key, 1, room),
		.burst = per_minute,
		.refill_per_minute = per_minute};
	struct bucket_request request = {
		.owner = principal,
		.demands = &demand,
		.n_demands = 1,
		.max_buckets = COARSE_BUCKETS_MAX,
		.max_buckets_per_owner = COARSE_BUCKETS_MAX,
		.evict_after_ns = COARSE_IDLE_SECONDS * NS_PER_SEC,
	};
	struct bucket_refusal refused;

	*wait_ns = 0;
	if (bucket_table_take(t, &request, &refused))
		return OK;
	*wait_ns = refused.wait_ns;
	return ERR_RATE;
}
