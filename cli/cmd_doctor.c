/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos doctor: the checks before a start, as text or one line of JSON (nomos-mcp-cli.md 2). Exit
 * 0 READY, 1 NOT_READY, 2 when the command itself is wrong or fails. The checks are runtime/'s;
 * nothing is changed by them.
 */
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/version.h"
#include "command.h"
#include "doctor_text.h"
#include "doctor_watch.h"
#include "document.h"
#include "examination.h"
#include "runtime/doctor.h"
#include "stream.h"

#define INTERVAL_DEFAULT_S 2
#define INTERVAL_MAX_S 3600

struct doctor_flags {
	struct examination x;
	const char *format;
	const char *interval;
	bool is_watched;
	bool is_strict;
	bool is_list;
};

static int
print_list(void)
{
	struct buf b;

	buf_init(&b, BUF_CAP_REPLY);
	doctor_list(&b);
	int status = stream_print_buf(&b);
	buf_fini(&b);
	return status == EXIT_DONE ? EXIT_DONE : EXIT_USAGE;
}

/* The line on stderr, and the status that says the same. */
static int
sum_up(const struct doctor_report *r, bool is_strict)
{
	size_t n_advice = doctor_text_count_advice(r);

	if (!r->is_ready) {
		log_warn(NULL, "doctor completed: status=NOT_READY checks=%zu", r->n_checks);
		return EXIT_FAILED;
	}
	log_ok("doctor completed: status=READY checks=%zu bundle=%s", r->n_checks, r->policy_hash);
	if (!is_strict || n_advice == 0)
		return EXIT_DONE;
	log_warn(NULL, "--strict: %zu checks pass with advice", n_advice);
	return EXIT_FAILED;
}

static int
print_report(const struct doctor_report *r, bool is_json, bool is_strict)
{
	struct errinfo ei;
	struct buf b;
	int status = EXIT_FAILED;

	buf_init(&b, BUF_CAP_REPLY);
	if (!is_json) {
		doctor_text_report(r, command_has_colour(STDOUT_FILENO), false, &b);
		status = stream_print_buf(&b);
	} else if (document_build_doctor(r, version_get()->version, &b, &ei) != OK) {
		status = command_fail("%s", ei.msg);
	} else {
		status = stream_print_buf(&b);
	}
	buf_fini(&b);
	return status == EXIT_DONE ? sum_up(r, is_strict) : EXIT_USAGE;
}

static int
examine(const struct doctor_flags *f, bool is_json)
{
	struct doctor_report report;
	struct errinfo why;
	enum err rc = examination_run(&f->x, &report, &why);
	int status = EXIT_USAGE;

	if (rc != OK)
		(void)command_fail("%s", why.msg);
	else if (report.n_checks == 0)
		(void)command_fail(
			"none of the checks that are left applies here: nothing was looked at");
	else
		status = print_report(&report, is_json, f->is_strict);
	doctor_report_fini(&report);
	return status;
}

/* A word that is none would leave out what somebody relies on. */
static bool
are_ids(const char *flag, const char *list)
{
	struct span unknown;

	if (list == NULL || doctor_knows(span_cstr(list), &unknown))
		return true;
	log_error(NULL, "%s: there is no check \"%.*s\"; `nomos doctor --list` names them", flag,
		SPAN_ARG(unknown));
	return false;
}

static int
run_checked(const struct doctor_flags *f)
{
	bool is_json = f->format != NULL && strcmp(f->format, "json") == 0;
	uint64_t interval = INTERVAL_DEFAULT_S;

	if (f->format != NULL && !is_json && strcmp(f->format, "text") != 0) {
		log_error(NULL, "--format is text or json");
		return EXIT_USAGE;
	}
	if (f->interval != NULL &&
		(!f->is_watched || !parse_uint(span_cstr(f->interval), INTERVAL_MAX_S, &interval) ||
			interval == 0)) {
		log_error(NULL, "--interval is 1 to %d seconds, with --watch", INTERVAL_MAX_S);
		return EXIT_USAGE;
	}
	if (!are_ids("--only", f->x.only) || !are_ids("--skip", f->x.skip))
		return EXIT_USAGE;
	if (!f->is_watched)
		return examine(f, is_json);
	return doctor_watch_run(&(struct doctor_watch){.examination = &f->x,
		.interval_ns = (int64_t)interval * NS_PER_SEC,
		.is_json = is_json,
		.is_strict = f->is_strict});
}

static int
run(const struct command *self, int argc, char **argv)
{
	struct doctor_flags f = {.format = NULL};
	const struct flag flags[] = {
		{"config", "c", FLAG_TEXT, &f.x.config, "FILE", "NOMOS_CONFIG",
			"configuration, JSON or YAML"},
		{"policy-bundle", "p", FLAG_TEXT, &f.x.bundle, "FILE", "NOMOS_POLICY_BUNDLE",
			"policy bundle instead of the configured ones"},
		{"format", NULL, FLAG_TEXT, &f.format, "FORMAT", NULL, "text or json"},
		{"deep", NULL, FLAG_SWITCH, &f.x.is_deep, NULL, NULL,
			"verify every record of the ledger too, ask the token issuer"},
		{"strict", NULL, FLAG_SWITCH, &f.is_strict, NULL, NULL, "exit 1 for advice too"},
		{"only", NULL, FLAG_TEXT, &f.x.only, "ID,ID", NULL,
			"run these checks alone; strong.* is all that begin so"},
		{"skip", NULL, FLAG_TEXT, &f.x.skip, "ID,ID", NULL, "run all but these"},
		{"watch", NULL, FLAG_SWITCH, &f.is_watched, NULL, NULL,
			"go on, and say what changes; ends with the status of the last look"},
		{"interval", NULL, FLAG_TEXT, &f.interval, "S", NULL,
			"seconds between two looks of --watch; 2"},
		{"list", NULL, FLAG_SWITCH, &f.is_list, NULL, NULL,
			"print every check, when it passes and what else to do"},
	};
	int rest = 0;
	enum flags_result r = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (r != FLAGS_OK)
		return flags_exit(r);
	return f.is_list ? print_list() : run_checked(&f);
}

const struct command cmd_doctor = {
	.name = "doctor",
	.summary = "Check this host and the configuration before a start",
	.usage = "nomos doctor [-c FILE] [-p BUNDLE] [--format text|json] [--deep] [--strict] "
		 "[--only IDS] [--skip IDS] [--watch]",
	.examples =
		"  nomos doctor -c demo/nomos.yaml\n"
		"  nomos doctor -c demo/nomos.yaml --watch\n"
		"In CI, advice fails too and the report is kept:\n"
		"  nomos doctor -c nomos.yaml --strict --skip clock.synchronised --format json > "
		"doctor.json\n\n"
		"Exit 0: READY. 1: NOT_READY, or advice with --strict. 2: wrong usage, or nothing "
		"could be looked at.\n",
	.run = run,
};
