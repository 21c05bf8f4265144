/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos audit: reading, checking and keeping the ledger. Only seal changes anything, and only under
 * the ledger's lock. One thread.
 */
#include "cmd_audit.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/query.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/visible.h"
#include "options.h"

bool
audit_parse(const struct command *self, const struct flag *flags, size_t n_flags, int argc,
	char **argv, const char **args, size_t max_args, int *status)
{
	size_t n = 0;
	int at = 0;
	bool flags_are_over = false;

	for (size_t i = 0; i < max_args; i++)
		args[i] = NULL;
	while (at < argc) {
		int rest = 1;
		/* When all arguments are there, one more is an error that the parser words. */
		enum flags_result r =
			flags_are_over && n < max_args
				? FLAGS_OK
				: flags_parse(self, flags, n_flags, argc - at, argv + at,
					  n < max_args ? INT_MAX : 0, &rest);
		if (r != FLAGS_OK) {
			*status = flags_exit(r);
			return false;
		}
		flags_are_over =
			flags_are_over || (rest > 1 && strcmp(argv[at + rest - 1], "--") == 0);
		at += rest;
		if (at < argc)
			args[n++] = argv[at];
	}
	return true;
}

bool
audit_file_find(struct audit_file *f, const struct command *self, const char *given, int *status)
{
	struct errinfo ei;

	*status = EXIT_USAGE;
	f->path = given;
	f->key_path = "";
	if (f->config == NULL && given != NULL)
		return true;
	if (f->config == NULL) {
		log_error(NULL, "FILE is missing: %s", self->usage);
		return false;
	}
	if (loaded_config_read(f->config, NULL, &f->loaded, &ei) != OK) {
		if (f->loaded != NULL)
			loaded_config_print(f->loaded);
		log_error(NULL, "%s", ei.msg);
		return false;
	}
	if (f->loaded->options.audit.checkpoint_key_path.n > 0)
		f->key_path = f->loaded->options.audit.checkpoint_key_path.p;
	if (given != NULL)
		return true;
	if (f->loaded->options.runtime.stateless_mode || f->loaded->options.ledger.path.n == 0) {
		log_error(NULL, "%s names no ledger", f->config);
		return false;
	}
	f->path = f->loaded->options.ledger.path.p;
	return true;
}

void
audit_file_fini(struct audit_file *f)
{
	loaded_config_free(&f->loaded);
}

enum err
audit_load_public_key(
	const char *path, const char *key_path, struct sign_key **out, struct errinfo *ei)
{
	char name[AUDIT_PATH_MAX];

	*out = NULL;
	if (key_path != NULL)
		return checkpoint_load_public_key(key_path, out, ei);
	int n = snprintf(name, sizeof(name), "%s.pub", path);
	if (n < 0 || (size_t)n >= sizeof(name))
		return ERR(ei, ERR_INVALID, "the path is too long");
	enum err rc = checkpoint_load_public_key(name, out, ei);
	return rc == ERR_NOT_FOUND ? OK : rc;
}

bool
audit_parse_format(const char *format, bool *is_json)
{
	*is_json = format != NULL && strcmp(format, "json") == 0;
	if (*is_json || format == NULL || strcmp(format, "text") == 0)
		return true;
	log_error(NULL, "--format is text or json");
	return false;
}

bool
audit_print_record(const struct source_record *r, bool is_json, bool has_colour)
{
	struct buf line;
	struct buf shown;
	bool is_whole = true;

	buf_init(&line, 16 * (size_t)BUF_CAP_RECORD);
	buf_init(&shown, 16 * (size_t)BUF_CAP_RECORD);
	if (is_json)
		is_whole = chain_build_line(r->body, r->hash, &line);
	else
		query_build_row(r->seq, r->body, has_colour, &line);
	/* A program gets the bytes that were hashed; a terminal must not obey them. */
	if (is_json && isatty(STDOUT_FILENO) != 0) {
		visible_add_json(&shown, buf_span(&line));
		buf_reset(&line);
		buf_add_span(&line, buf_span(&shown));
	}
	buf_add_char(&line, '\n');
	if (!is_whole)
		log_warn(NULL, "record %llu is not a record; see `nomos audit verify`",
			(unsigned long long)r->seq);
	else if (buf_failed(&line) || buf_failed(&shown))
		log_error(NULL, "record %llu: out of memory", (unsigned long long)r->seq);
	else
		(void)fwrite(line.p, 1, line.n, stdout);
	buf_fini(&line);
	buf_fini(&shown);
	return ferror(stdout) == 0;
}

int
audit_finish_stdout(void)
{
	bool is_written = fflush(stdout) == 0 && ferror(stdout) == 0;

	return is_written ? EXIT_DONE : command_fail("cannot write to stdout");
}

void
audit_progress_show(void *progress, uint64_t n_records)
{
	struct audit_progress *p = progress;

	if (isatty(STDERR_FILENO) == 0)
		return;
	p->is_shown = true;
	if (p->total > 0)
		fprintf(stderr, "\r%s %llu of %llu records", p->what, (unsigned long long)n_records,
			(unsigned long long)p->total);
	else
		fprintf(stderr, "\r%s %llu records", p->what, (unsigned long long)n_records);
}

void
audit_progress_end(const struct audit_progress *p)
{
	if (p->is_shown)
		fprintf(stderr, "\r\033[K");
}

static const struct command subcommands[] = {
	{.name = "verify",
		.summary = "Say whether a ledger or an export is whole",
		.usage = "nomos audit verify FILE [--checkpoint-key KEY] [--expect SEQ:HASH] "
			 "[--witness FILE [--accept-chain ID[,ID...]]]"
			 " [--archive FOLDER] [--format text|json] | --received FILE",
		.examples =
			"  nomos audit verify nomos-ledger.db\n"
			"  nomos audit verify export.jsonl --checkpoint-key nomos-ledger.db.pub\n"
			"  nomos audit verify nomos-ledger.db --witness received/\n"
			"  exit 0: whole, 1: not, 2: cannot be read\n",
		.run = audit_run_verify},
	{.name = "export",
		.summary = "Write a ledger as JSON lines with a signed trailer",
		.usage = "nomos audit export FILE [--key KEY] > export.jsonl",
		.run = audit_run_export},
	{.name = "query",
		.summary = "Find records of a ledger or an export",
		.usage = "nomos audit query FILE [filters] [--limit N] [--format text|json]",
		.examples = "  nomos audit query nomos-ledger.db --decision deny --since 1h\n"
			    "  nomos audit query nomos-ledger.db --trace 4bf92f --format json\n",
		.run = audit_run_query},
	{.name = "sinks",
		.summary = "Show how far each sink is, and why one is behind",
		.usage = "nomos audit sinks FILE [--format text|json]",
		.examples =
			"  nomos audit sinks nomos-ledger.db\n"
			"  nomos audit sinks -c nomos.yaml --format json\n"
			"  exit 0: deliveries work, 1: those of a sink fail, 2: cannot be read\n",
		.run = audit_run_sinks},
	{.name = "tail",
		.summary = "Print the last records, and follow",
		.usage = "nomos audit tail [-f] [-n N] [--format text|json] FILE",
		.run = audit_run_tail},
	{.name = "backup",
		.summary = "Copy a ledger as of one moment, also beside a running gateway",
		.usage = "nomos audit backup FILE DEST",
		.run = audit_run_backup},
	{.name = "seal",
		.summary = "Put a damaged or older ledger aside, so that a new chain can begin",
		.usage = "nomos audit seal FILE --reason TEXT",
		.run = audit_run_seal},
};

const struct command cmd_audit = {
	.name = "audit",
	.summary = "Verify, export, search and keep the ledger",
	.subcommands = subcommands,
	.n_subcommands = sizeof(subcommands) / sizeof(subcommands[0]),
};
