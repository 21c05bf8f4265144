/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of checks, which of them are wanted, and what they share. A check that cannot measure fails; one that
 * does not apply is left out. Everything a check says passes the redactor before anybody sees it.
 */
#include "comma_list.h"
#include "doctor_look.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "pipeline/policy_files.h"
#include "policy/policy.h"
#include "runtime/options.h"

/* A look at a file takes moments; a deep one asks other hosts, too. */
#define FIRST_NS (5 * NS_PER_SEC)
#define NEXT_NS NS_PER_SEC
#define DEEP_NS (60 * NS_PER_SEC)

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
is_wanted(const struct doctor_input *in, const char *id)
{
	return (in->only.n == 0 || names(in->only, id)) && !names(in->skip, id);
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
load(struct doctor *d)
{
	if (policy_files_load(&d->in->pipeline->policy, &d->policy, &d->policy_error) != OK)
		d->policy = NULL;
}

enum err
doctor_run(const struct doctor_input *in, struct doctor_report *out, struct errinfo *ei)
{
	const struct doctor_look how = {.rows = rows,
		.n_rows = ARRAY_LEN(rows),
		.first_ns = in->is_deep ? DEEP_NS : FIRST_NS,
		.next_ns = in->is_deep ? DEEP_NS : NEXT_NS,
		.measure = measure,
		.load = load,
		.is_wanted = is_wanted};

	return doctor_look_run(&how, in, out, ei);
}

void
doctor_report_fini(struct doctor_report *report)
{
	arena_free(&report->arena);
	*report = (struct doctor_report){.arena = NULL};
}
