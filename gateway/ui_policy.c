/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/policy, /api/ui/policy/rules, POST /api/ui/explain: the policy in force, its rules with how often each won, and what it
 * would say. On the worker's thread: all of it is in memory; only an explanation goes to a reader.
 */
#include <ctype.h>
#include <inttypes.h>

#include "base/arena.h"
#include "base/clock.h"
#include "pipeline/observe.h"
#include "pipeline/redact_json.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "policy/rule_view.h"
#include "query_string.h"
#include "ui_job.h"

#define RULES_MAX 200
#define RULES_DEFAULT 100
/* Rules that one question may be compared with. */
#define RULES_SEEN_MAX 20000

void
api_ui_policy(const struct exchange *x)
{
	const struct snapshot *s = worker_get_snapshot(x->worker);
	const struct policy *p = snapshot_get_policy(s);
	struct span bundles = policy_get_inputs_json(p);
	char time[CLOCK_TEXT_MAX];
	struct buf b;

	buf_init(&b, UI_REPLY_BYTES_MAX);
	clock_format(snapshot_get_loaded_ns(s), time);
	buf_printf(&b, "{\"policy_bundle_hash\":\"%s\",\"loaded_at\":\"%s\",\"rule_count\":%zu",
		policy_get_hash(p), time, policy_count_rules(p));
	BUF_ADD_LIT(&b, ",\"bundles\":");
	buf_add_span(&b, bundles.n > 0 ? bundles : SPAN_LIT("[]"));
	BUF_ADD_LIT(&b, "}\n");
	reply_private(x->http, 200, NULL, 0, &b);
	buf_fini(&b);
}

/* ---- rules ---- */

struct rule_page {
	const struct snapshot *snapshot;
	const struct redactor *redactor;
	struct arena *arena;
	struct span wanted; /* lower-case */
	struct buf *out;
};

/* ASCII letters are folded; wanted is lower-case. */
static bool
holds(struct span text, struct span wanted)
{
	for (size_t at = 0; at + wanted.n <= text.n; at++) {
		size_t i = 0;
		while (i < wanted.n && tolower((unsigned char)text.p[at + i]) == wanted.p[i])
			i++;
		if (i == wanted.n)
			return true;
	}
	return false;
}

static bool
list_holds(const struct rule_view_list *l, struct span wanted)
{
	for (size_t i = 0; i < l->n; i++)
		if (holds(l->v[i], wanted))
			return true;
	return false;
}

static bool
is_wanted(const struct rule_view *r, struct span wanted)
{
	return wanted.n == 0 || holds(r->id, wanted) || holds(r->action_type, wanted) ||
	       holds(r->resource, wanted) || holds(span_cstr(verdict_name(r->verdict)), wanted) ||
	       list_holds(&r->principals, wanted) || list_holds(&r->agents, wanted) ||
	       list_holds(&r->environments, wanted);
}

static void
add_text(const struct rule_page *page, const char *name, struct span text)
{
	buf_printf(page->out, ",\"%s\":", name);
	ui_add_clean(page->redactor, text, page->out);
}

static void
add_list(const struct rule_page *page, const char *name, const struct rule_view_list *l)
{
	buf_printf(page->out, ",\"%s\":[", name);
	for (size_t i = 0; i < l->n; i++) {
		if (i > 0)
			buf_add_char(page->out, ',');
		ui_add_clean(page->redactor, l->v[i], page->out);
	}
	buf_add_char(page->out, ']');
}

static void
add_rule(const struct rule_page *page, const struct rule_view *r, size_t i)
{
	BUF_ADD_LIT(page->out, "{\"id\":");
	ui_add_clean(page->redactor, r->id, page->out);
	add_text(page, "decision", span_cstr(verdict_name(r->verdict)));
	add_list(page, "principals", &r->principals);
	add_list(page, "agents", &r->agents);
	add_list(page, "environments", &r->environments);
	add_text(page, "action_type", r->action_type);
	add_text(page, "resource", r->resource);
	add_list(page, "risk_flags", &r->risk_flags);
	BUF_ADD_LIT(page->out, ",\"obligations\":");
	if (r->obligations != NULL)
		redact_json(page->redactor, r->obligations, page->arena, page->out);
	else
		BUF_ADD_LIT(page->out, "{}");
	add_text(page, "bundle", r->bundle);
	buf_printf(page->out, ",\"hits\":%" PRIu64 "}", observe_rule_hits(page->snapshot, i));
}

/* Returns the rule that the next page begins with; 0: there is none. A cursor is a number from 1. */
static uint64_t
add_rules(const struct rule_page *page, uint64_t cursor, size_t limit)
{
	const struct policy *p = snapshot_get_policy(page->snapshot);
	size_t n_rules = policy_count_rules(p);
	size_t n = 0;
	size_t first = cursor > 0 && cursor <= n_rules ? (size_t)cursor - 1 : 0;

	if (cursor > n_rules)
		return 0;
	for (size_t i = first; i < n_rules; i++) {
		struct rule_view r;
		if (n == limit || page->out->n > UI_PAGE_BYTES || i - first == RULES_SEEN_MAX)
			return i + 1;
		policy_view_rule(p, i, &r);
		if (!is_wanted(&r, page->wanted))
			continue;
		buf_add_cstr(page->out, n > 0 ? ",\n" : "\n");
		add_rule(page, &r, i);
		n++;
	}
	return 0;
}

static struct span
lower(struct span text, struct arena *a)
{
	char *p = arena_alloc(a, text.n + 1);

	for (size_t i = 0; p != NULL && i < text.n; i++)
		p[i] = (char)tolower((unsigned char)text.p[i]);
	return p != NULL ? span_of(p, text.n) : SPAN_NONE;
}

static void
build_rules(const struct exchange *x, struct arena *a, struct buf *b)
{
	static const char *const names[] = {"q", "cursor", "limit"};
	struct span v[3];
	uint64_t cursor = 0;
	size_t limit = RULES_DEFAULT;
	struct errinfo ei;
	struct rule_page page = {.snapshot = worker_get_snapshot(x->worker), .arena = a, .out = b};
	enum err rc = query_string_read(http_request_get_query(x->http), names, 3, v, a, &ei);

	if (rc == OK)
		rc = ui_read_seq(v[1], &cursor, &ei);
	if (rc == OK)
		rc = ui_read_limit(v[2], RULES_MAX, RULES_DEFAULT, &limit, &ei);
	if (rc != OK) {
		reply_error(x->http, rc == ERR_NOMEM ? 503 : 400,
			rc == ERR_NOMEM ? "overloaded" : "validation_error", span_cstr(ei.msg), 0);
		return;
	}
	page.redactor = snapshot_get_redactor(page.snapshot);
	page.wanted = lower(v[0], a);
	BUF_ADD_LIT(b, "{\"rules\":[");
	uint64_t next = add_rules(&page, cursor, limit);
	ui_end_page(b, next);
	reply_private(x->http, 200, NULL, 0, b);
}

void
api_ui_rules(const struct exchange *x)
{
	struct arena *a = arena_new(UI_ARENA_BYTES);
	struct buf b;

	if (a == NULL) {
		reply_error(x->http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
		return;
	}
	buf_init(&b, UI_REPLY_BYTES_MAX);
	build_rules(x, a, &b);
	buf_fini(&b);
	arena_free(&a);
}

/* ---- explain ---- */

static void
explain(struct ui_job *job)
{
	const struct span *body = job->input;
	struct errinfo ei;
	enum err rc = observe_explain(job->snapshot, *body, job->row_arena, &job->body, &ei);

	if (rc == OK)
		return;
	if (rc == ERR_NORMALIZE)
		ui_job_fail(job, 400, "normalization_error", ei.msg);
	else if (rc == ERR_PARSE || rc == ERR_INVALID)
		ui_job_fail(job, 400, "validation_error", ei.msg);
	else
		ui_job_fail(job, 503, "overloaded", "no room for the explanation");
}

void
api_ui_explain(const struct exchange *x)
{
	struct ui_job *job = ui_job_new_without_ledger(x, explain);
	struct span *body;

	if (job == NULL)
		return;
	body = ARENA_NEW(job->arena, struct span);
	if (body != NULL)
		*body = arena_dup(job->arena, http_request_get_body(x->http));
	job->input = body;
	ui_job_start(job);
}
