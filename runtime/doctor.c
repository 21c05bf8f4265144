/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs the table of checks and words their findings. A check that cannot measure fails; one that
 * does not apply is left out. Everything a check says passes the redactor before anybody sees it.
 * One thread.
 */
#include "comma_list.h"
#include "doctor_checks.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/redact.h"
#include "pipeline/policy_files.h"
#include "policy/policy.h"
#include "runtime/options.h"

#define DOCTOR_ARENA_BYTES (16 * 1024 * 1024)
#define DETAIL_BYTES_MAX 4096

enum doctor_needs { NOTHING = 0, CONFIG, STRONG, DEEP, OFFLINE };

struct doctor_row {
	const char *id;
	enum doctor_needs needs;
	enum finding (*check)(struct doctor *d);
	const char *title;
	const char *passes;
	const char *remedy;
};

static const struct doctor_row rows[] = {
#define X(id, needs, function, title, passes, remedy) {id, needs, function, title, passes, remedy},
	DOCTOR_CHECKS(X)
#undef X
};

enum finding
doctor_say(struct doctor *d, enum finding finding, const char *fmt, ...)
{
	va_list ap;

	buf_reset(&d->detail);
	va_start(ap, fmt);
	buf_vprintf(&d->detail, fmt, ap);
	va_end(ap);
	return finding;
}

enum finding
doctor_pass_if(bool is_ok)
{
	return is_ok ? FINDING_PASS : FINDING_FAIL;
}

static bool
applies(const struct doctor *d, const struct doctor_row *row)
{
	bool is_loaded = d->in->config_error == NULL;

	switch (row->needs) {
	case NOTHING:
		return true;
	case CONFIG:
		return is_loaded;
	case STRONG:
		return is_loaded && d->in->pipeline->runtime.strong_guarantee;
	case DEEP:
		return is_loaded && d->in->is_deep && !d->in->is_running;
	case OFFLINE:
		return is_loaded && !d->in->is_running;
	}
	return false;
}

/* NUL-terminated, redacted, in the arena; NULL when memory is out. */
static const char *
keep(struct doctor *d, const struct buf *text)
{
	struct buf clean;

	buf_init(&clean, 2 * DETAIL_BYTES_MAX);
	(void)redact(redactor_default(), buf_span(text), &clean);
	const char *kept = buf_failed(&clean) ? arena_dup_cstr(d->arena, SPAN_LIT("[REDACTED]"))
					      : arena_dup_cstr(d->arena, buf_span(&clean));
	buf_fini(&clean);
	return kept;
}

static const char *
build_message(struct doctor *d, const struct doctor_row *row, enum finding finding)
{
	struct buf b;

	buf_init(&b, DETAIL_BYTES_MAX);
	if (finding == FINDING_ADVICE) {
		BUF_ADD_LIT(&b, "advice: ");
		buf_add_span(&b, buf_span(&d->detail));
	} else {
		buf_add_cstr(&b, row->title);
		if (finding == FINDING_FAIL)
			BUF_ADD_LIT(&b, " failed");
	}
	const char *text = keep(d, &b);
	buf_fini(&b);
	return text;
}

static const char *
build_hint(struct doctor *d, const struct doctor_row *row, enum finding finding)
{
	struct buf b;
	const char *text = NULL;

	buf_init(&b, DETAIL_BYTES_MAX);
	if (finding != FINDING_ADVICE)
		buf_add_span(&b, buf_span(&d->detail));
	if (finding != FINDING_PASS && row->remedy != NULL) {
		if (b.n > 0)
			BUF_ADD_LIT(&b, "; ");
		buf_add_cstr(&b, row->remedy);
	}
	if (b.n > 0)
		text = keep(d, &b);
	buf_fini(&b);
	return text;
}

static int
compare_ids(const void *a, const void *b)
{
	const struct doctor_check *x = a;
	const struct doctor_check *y = b;

	return strcmp(x->id, y->id);
}

static bool
matches(struct span pattern, const char *id)
{
	if (span_ends(pattern, SPAN_LIT("*")))
		return span_starts(span_cstr(id), span_of(pattern.p, pattern.n - 1));
	return span_eq_cstr(pattern, id);
}

static bool
names(struct span list, const char *id)
{
	struct span word;

	while (comma_list_next(&list, &word)) {
		if (matches(word, id))
			return true;
	}
	return false;
}

static bool
is_wanted(const struct doctor *d, const char *id)
{
	return (d->in->only.n == 0 || names(d->in->only, id)) && !names(d->in->skip, id);
}

bool
doctor_knows(struct span list, struct span *unknown)
{
	while (comma_list_next(&list, unknown)) {
		bool is_known = false;
		for (size_t i = 0; i < ARRAY_LEN(rows) && !is_known; i++)
			is_known = matches(*unknown, rows[i].id);
		if (!is_known)
			return false;
	}
	return true;
}

static const char *
describe_needs(enum doctor_needs needs)
{
	switch (needs) {
	case NOTHING:
		return "always";
	case CONFIG:
		return "the configuration loads";
	case STRONG:
		return "`runtime.strong_guarantee`";
	case DEEP:
		return "`--deep`";
	case OFFLINE:
		return "not on the operator page";
	}
	return "";
}

void
doctor_list(struct buf *out)
{
	BUF_ADD_LIT(out, "# The checks of doctor\n\nIn the order of their ids; the last of "
			 "`strong.` sums up those before it.\n\n");
	BUF_ADD_LIT(out, "| check | looked at when | passes when | else |\n|---|---|---|---|\n");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *remedy = rows[i].remedy != NULL ? rows[i].remedy : "";
		buf_printf(out, "| `%s` | %s | %s | %s |\n", rows[i].id,
			describe_needs(rows[i].needs), rows[i].passes, remedy);
	}
}

static void
run_rows(struct doctor *d, struct doctor_check *checks, struct doctor_report *out)
{
	out->is_ready = true;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!applies(d, &rows[i]))
			continue;
		if (!is_wanted(d, rows[i].id)) {
			d->n_strong_open += rows[i].needs == STRONG ? 1 : 0;
			continue;
		}
		buf_reset(&d->detail);
		enum finding finding = rows[i].check(d);
		if (finding == FINDING_ABSENT)
			continue;
		checks[out->n_checks++] = (struct doctor_check){
			.id = rows[i].id,
			.is_ok = finding != FINDING_FAIL,
			.is_advice = finding == FINDING_ADVICE,
			.message = build_message(d, &rows[i], finding),
			.hint = build_hint(d, &rows[i], finding),
		};
		if (finding != FINDING_FAIL)
			continue;
		out->is_ready = false;
		d->n_strong_open += rows[i].needs == STRONG ? 1 : 0;
	}
	qsort(checks, out->n_checks, sizeof(*checks), compare_ids);
	out->checks = checks;
}

/* What a gateway writes to it has to be able to write. */
static void
measure(struct doctor *d)
{
	const struct doctor_input *in = d->in;
	struct span own[3 + AUDIT_SINKS_MAX] = {in->ledger->path,
		in->pipeline->executor.workspace_root, in->audit->retention.archive};
	size_t n = 3;
	struct audit_plan plan;

	if (!in->pipeline->runtime.strong_guarantee)
		return;
	if (audit_plan_parse(
		    in->ledger, in->audit, in->pipeline->runtime.stateless_mode, &plan, NULL) != OK)
		plan.n_sinks = 0;
	for (size_t i = 0; i < plan.n_sinks; i++) {
		if (plan.sinks[i].kind == AUDIT_SINK_FILE)
			own[n++] = plan.sinks[i].url;
	}
	measure_host(in->root != NULL ? in->root : "", own, n, &d->host);
}

static void
add_policy(const struct doctor *d, struct doctor_report *out)
{
	out->policy_hash = "";
	if (d->policy == NULL)
		return;
	out->policy_hash = arena_dup_cstr(d->arena, span_cstr(policy_get_hash(d->policy)));
	out->sources_json = arena_dup(d->arena, policy_get_sources_json(d->policy));
	out->inputs_json = arena_dup(d->arena, policy_get_inputs_json(d->policy));
}

enum err
doctor_run(const struct doctor_input *in, struct doctor_report *out, struct errinfo *ei)
{
	struct doctor d = {.in = in};

	*out = (struct doctor_report){.assurance = "NONE", .policy_hash = ""};
	out->arena = arena_new(DOCTOR_ARENA_BYTES);
	d.arena = out->arena;
	if (out->arena == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	buf_init(&d.detail, DETAIL_BYTES_MAX);
	struct doctor_check *checks = ARENA_ARRAY(d.arena, struct doctor_check, ARRAY_LEN(rows));
	if (in->config_error == NULL) {
		out->assurance = assurance_level(in->pipeline);
		if (policy_files_load(&in->pipeline->policy, &d.policy, &d.policy_error) != OK)
			d.policy = NULL;
		measure(&d);
	}
	if (checks != NULL) {
		run_rows(&d, checks, out);
		if (d.n_strong_open > 0 && strcmp(out->assurance, "STRONG") == 0)
			out->assurance = "GUARDED";
		add_policy(&d, out);
	}
	policy_unref(&d.policy);
	buf_fini(&d.detail);
	return arena_failed(out->arena) ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}

void
doctor_report_fini(struct doctor_report *report)
{
	arena_free(&report->arena);
	*report = (struct doctor_report){.arena = NULL};
}
