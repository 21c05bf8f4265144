/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos doctor: the checks before a start, as text or one line of JSON (nomos-mcp-cli.md 2). Exit
 * 0 READY, 1 NOT_READY, 2 when the command itself is wrong or fails. The checks are runtime/'s;
 * nothing is changed by them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/version.h"
#include "command.h"
#include "document.h"
#include "examination.h"
#include "runtime/doctor.h"
#include "stream.h"

struct doctor_flags {
	const char *config;
	const char *bundle;
	const char *format;
	bool is_deep;
};

static void
add_colour(struct buf *b, bool colour, const char *code)
{
	if (colour)
		buf_printf(b, "\033[%sm", code);
}

static void
add_label(struct buf *b, bool colour, const struct doctor_check *check)
{
	const char *code = check->is_ok ? (check->is_advice ? "1;33" : "1;32") : "1;31";

	add_colour(b, colour, code);
	buf_add_cstr(b, check->is_ok ? "[PASS]" : "[FAIL]");
	add_colour(b, colour, "0");
}

static void
add_line(struct buf *b, const char *before, const char *text)
{
	buf_add_cstr(b, before);
	stream_add_visible(b, span_cstr(text));
	buf_add_char(b, '\n');
}

static void
build_text(const struct doctor_report *r, bool colour, struct buf *b)
{
	add_colour(b, colour, "1");
	BUF_ADD_LIT(b, "nomos doctor");
	add_colour(b, colour, "0");
	BUF_ADD_LIT(b, "\n\n");
	for (size_t i = 0; i < r->n_checks; i++) {
		const struct doctor_check *check = &r->checks[i];
		add_label(b, colour, check);
		add_line(b, " ", check->message);
		if ((!check->is_ok || check->is_advice) && check->hint != NULL)
			add_line(b, "       hint: ", check->hint);
	}
	BUF_ADD_LIT(b, "\nResult: ");
	add_colour(b, colour, r->is_ready ? "1;32" : "1;31");
	buf_add_cstr(b, r->is_ready ? "READY" : "NOT_READY");
	add_colour(b, colour, "0");
	buf_printf(b, " (assurance=%s)\n", r->assurance);
}

static int
print_report(const struct doctor_report *r, bool is_json)
{
	struct errinfo ei;
	struct buf b;
	int status = EXIT_FAILED;

	buf_init(&b, BUF_CAP_REPLY);
	if (!is_json) {
		build_text(r, command_has_colour(STDOUT_FILENO), &b);
		status = stream_print_buf(&b);
	} else if (document_build_doctor(r, version_get()->version, &b, &ei) != OK) {
		status = command_fail("%s", ei.msg);
	} else {
		status = stream_print_buf(&b);
	}
	buf_fini(&b);
	if (status != EXIT_DONE)
		return EXIT_USAGE;
	if (!r->is_ready) {
		log_warn(NULL, "doctor completed: status=NOT_READY checks=%zu", r->n_checks);
		return EXIT_FAILED;
	}
	log_ok("doctor completed: status=READY checks=%zu bundle=%s", r->n_checks, r->policy_hash);
	return EXIT_DONE;
}

static int
examine(const struct doctor_flags *f, bool is_json)
{
	struct examination x = {.config = f->config, .bundle = f->bundle, .is_deep = f->is_deep};
	struct doctor_report report;
	struct errinfo why;
	enum err rc = examination_run(&x, &report, &why);
	int status = EXIT_USAGE;

	if (rc != OK)
		(void)command_fail("%s", why.msg);
	else
		status = print_report(&report, is_json);
	doctor_report_fini(&report);
	return status;
}

static int
run(const struct command *self, int argc, char **argv)
{
	struct doctor_flags f = {.format = NULL};
	const struct flag flags[] = {
		{"config", "c", FLAG_TEXT, &f.config, "FILE", "NOMOS_CONFIG",
			"configuration, JSON or YAML"},
		{"policy-bundle", "p", FLAG_TEXT, &f.bundle, "FILE", "NOMOS_POLICY_BUNDLE",
			"policy bundle instead of the configured ones"},
		{"format", NULL, FLAG_TEXT, &f.format, "FORMAT", NULL, "text or json"},
		{"deep", NULL, FLAG_SWITCH, &f.is_deep, NULL, NULL,
			"verify every record of the ledger too"},
	};
	int rest = 0;
	enum flags_result r = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (r != FLAGS_OK)
		return flags_exit(r);
	bool is_json = f.format != NULL && strcmp(f.format, "json") == 0;
	if (f.format != NULL && !is_json && strcmp(f.format, "text") != 0) {
		log_error(NULL, "--format is text or json");
		return EXIT_USAGE;
	}
	return examine(&f, is_json);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "Check this host and the configuration before a start",
	.usage = "nomos doctor [-c FILE] [-p BUNDLE] [--format text|json] [--deep]",
	.examples = "  nomos doctor -c demo/nomos.yaml\n"
		    "  nomos doctor -c demo/nomos.yaml --format json | jq -e '.overall_status == "
		    "\"READY\"'\n",
	.run = run,
};
