/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos test: a permission suite against policy bundles (nomos-mcp-cli.md 1.9), for CI. Exit 0 all passed, 1 a mismatch, 2 wrong usage or
 * a suite or bundle that cannot be used. Warnings never change the exit code.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/json.h"
#include "base/log.h"
#include "command.h"
#include "policy/policy.h"
#include "policy/suite.h"
#include "policy_case.h"

#define SUITE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define SUITE_ARENA_BYTES ((size_t)256 * 1024 * 1024)

static void
add_rules(struct buf *b, const struct span *ids, size_t n, bool as_json)
{
	buf_add_char(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_cstr(b, as_json ? "," : " ");
		if (as_json)
			json_quote(b, ids[i]);
		else
			buf_add_span(b, ids[i]);
	}
	buf_add_char(b, ']');
}

static void
build_text(struct buf *b, const struct suite_report *report, const struct policy *p)
{
	for (size_t i = 0; i < report->n_results; i++) {
		const struct suite_result *r = &report->results[i];
		buf_printf(b, "%s %.*s: expected %s, got %s (rules: ", r->passed ? "PASS" : "FAIL",
			SPAN_ARG(r->name), verdict_name(r->expected), verdict_name(r->actual));
		add_rules(b, r->matched, r->n_matched, false);
		BUF_ADD_LIT(b, ")\n");
		if (!r->passed && r->has_wanted) {
			BUF_ADD_LIT(b, "     expected rules: ");
			add_rules(b, r->wanted, r->n_wanted, false);
			buf_add_char(b, '\n');
		}
	}
	size_t n_warnings = 0;
	const struct policy_warning *w = policy_get_warnings(p, &n_warnings);
	for (size_t i = 0; i < n_warnings; i++)
		buf_printf(b, "WARN %.*s: %.*s\n", SPAN_ARG(w[i].code), SPAN_ARG(w[i].message));
	buf_printf(b, "%zu passed, %zu failed | policy %s\n", report->n_passed,
		report->n_results - report->n_passed, policy_get_hash(p));
}

static void
add_result(struct buf *b, const struct suite_result *r)
{
	BUF_ADD_LIT(b, "{\"name\":");
	json_quote(b, r->name);
	buf_printf(b, ",\"expected\":\"%s\",\"actual\":\"%s\",\"matched_rules\":",
		verdict_name(r->expected), verdict_name(r->actual));
	add_rules(b, r->matched, r->n_matched, true);
	if (r->has_wanted) {
		BUF_ADD_LIT(b, ",\"expected_rules\":");
		add_rules(b, r->wanted, r->n_wanted, true);
	}
	buf_add_cstr(b, r->passed ? ",\"passed\":true}" : ",\"passed\":false}");
}

static void
build_json(struct buf *b, const struct suite_report *report, const struct policy *p)
{
	size_t n_warnings = 0;
	const struct policy_warning *w = policy_get_warnings(p, &n_warnings);

	buf_printf(b, "{\"policy_bundle_hash\":\"%s\",\"passed\":%zu,\"failed\":%zu,\"results\":[",
		policy_get_hash(p), report->n_passed, report->n_results - report->n_passed);
	for (size_t i = 0; i < report->n_results; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		add_result(b, &report->results[i]);
	}
	BUF_ADD_LIT(b, "],\"warnings\":[");
	for (size_t i = 0; i < n_warnings; i++) {
		BUF_ADD_LIT(b, "{\"rule_id\":");
		json_quote(b, w[i].rule_id);
		BUF_ADD_LIT(b, ",\"code\":");
		json_quote(b, w[i].code);
		BUF_ADD_LIT(b, ",\"message\":");
		json_quote(b, w[i].message);
		buf_add_cstr(b, i + 1 < n_warnings ? "}," : "}");
	}
	BUF_ADD_LIT(b, "]}\n");
}

static int
run_suite(const struct policy_case *c, const char *file, bool as_json)
{
	struct arena *a = arena_new(SUITE_ARENA_BYTES);
	struct suite_report report;
	struct errinfo ei;
	struct buf text;
	struct buf out;
	int status = EXIT_USAGE;

	buf_init(&text, SUITE_BYTES_MAX + 1);
	buf_init(&out, BUF_CAP_FILE);
	enum err rc = a != NULL ? fdio_read_file(file, SUITE_BYTES_MAX, &text, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc == OK) {
		rc = suite_run(c->policy, buf_span(&text), a, &report, &ei);
		if (rc != OK)
			rc = ERR_WRAP(&ei, rc, "%s", file);
	}
	if (rc != OK) {
		log_error(NULL, "%s", ei.msg);
	} else {
		(as_json ? build_json : build_text)(&out, &report, c->policy);
		status = report.n_passed == report.n_results ? EXIT_DONE : EXIT_FAILED;
		if (buf_failed(&out) || fwrite(out.p, 1, out.n, stdout) != out.n ||
			fflush(stdout) != 0) {
			log_error(NULL, "cannot write to stdout");
			status = EXIT_USAGE;
		}
	}
	buf_fini(&out);
	buf_fini(&text);
	arena_free(&a);
	return status;
}

static int
run(const struct command *self, int argc, char **argv)
{
	const char *suite = NULL;
	const char *bundle = NULL;
	const char *format = "text";
	const struct flag flags[] = {
		{"suite", "s", FLAG_TEXT, &suite, "FILE", NULL, "the suite, JSON"},
		{"bundle", "b", FLAG_TEXT, &bundle, "FILE[,FILE]", NULL,
			"policy bundles, layered in this order"},
		{"format", NULL, FLAG_TEXT, &format, "FORMAT", NULL, "text or json"},
	};
	struct policy_case c;
	struct errinfo ei;
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	bool as_json = strcmp(format, "json") == 0;
	if (suite == NULL || bundle == NULL || (!as_json && strcmp(format, "text") != 0)) {
		log_error(NULL, "both --suite and --bundle are required; --format is text or json");
		return EXIT_USAGE;
	}
	int status = EXIT_USAGE;
	if (policy_case_load(&c, NULL, NULL, bundle, &ei) == OK)
		status = run_suite(&c, suite, as_json);
	else
		log_error(NULL, "%s", ei.msg);
	policy_case_free(&c);
	return status;
}

const struct command cmd_test = {
	.name = "test",
	.summary = "Run a permission suite against policy bundles",
	.usage = "nomos test --suite FILE --bundle FILE[,FILE] [--format text|json]",
	.examples = "  nomos test --suite permissions.json --bundle policy.yaml\n"
		    "\n"
		    "Exit 0: every case as expected. 1: one was not. 2: wrong usage, or a suite or "
		    "bundle that cannot be used.\n",
	.run = run,
};
