/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos config: what the configuration is, says and may hold. check, dump and diff read a file the same way serve does; doc,
 * schema and example are made of the tables alone.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "command.h"
#include "config/print.h"
#include "config_diff.h"
#include "options.h"

static int
print_buf(struct buf *b)
{
	int status = EXIT_DONE;

	if (buf_failed(b))
		status = command_fail("out of memory");
	else if ((b->n > 0 && fwrite(b->p, 1, b->n, stdout) != b->n) || fflush(stdout) != 0)
		status = command_fail("cannot write to stdout");
	buf_fini(b);
	return status;
}

static int
read_config(const struct command *self, int argc, char **argv, const char **format,
	struct loaded_config **out)
{
	const char *file = NULL;
	const char *bundle = NULL;
	const struct flag flags[] = {
		{"config", "c", FLAG_TEXT, &file, "FILE", "NOMOS_CONFIG",
			"configuration, JSON or YAML"},
		{"policy-bundle", "p", FLAG_TEXT, &bundle, "FILE", "NOMOS_POLICY_BUNDLE",
			"policy bundle instead of the configured ones"},
		{"format", NULL, FLAG_TEXT, format, "FORMAT", NULL, "yaml or json"},
	};
	struct errinfo ei;
	int rest = 0;
	enum flags_result f =
		flags_parse(self, flags, format != NULL ? 3 : 2, argc, argv, 0, &rest);

	*out = NULL;
	if (f != FLAGS_OK)
		return flags_exit(f);
	if (file == NULL)
		return command_fail("--config/-c is required (or NOMOS_CONFIG)");
	enum err rc = loaded_config_read(file, bundle, out, &ei);
	if (*out != NULL)
		loaded_config_print(*out);
	if (rc == OK)
		return EXIT_DONE;
	if (*out == NULL || (*out)->report.n_issues == 0)
		return command_fail("%s", ei.msg);
	return command_fail("%zu errors in %s", (*out)->report.n_errors, file);
}

static int
run_check(const struct command *self, int argc, char **argv)
{
	struct loaded_config *c = NULL;
	int status = read_config(self, argc, argv, NULL, &c);

	if (c != NULL && status == EXIT_DONE)
		log_ok("the configuration is valid; `nomos doctor` looks at the files it names");
	loaded_config_free(&c);
	return status;
}

static int
run_dump(const struct command *self, int argc, char **argv)
{
	const char *format = "yaml";
	struct loaded_config *c = NULL;
	int status = read_config(self, argc, argv, &format, &c);

	if (c != NULL && status == EXIT_DONE) {
		struct buf b;
		buf_init(&b, BUF_CAP_FILE);
		if (strcmp(format, "json") == 0)
			config_dump_json(&nomos_options_config, &c->options, &b);
		else if (strcmp(format, "yaml") == 0)
			config_dump_yaml(&nomos_options_config, &c->options, &b);
		else
			status = command_fail("--format is yaml or json");
		if (status == EXIT_DONE)
			status = print_buf(&b);
		else
			buf_fini(&b);
	}
	loaded_config_free(&c);
	return status;
}

static int
run_printer(const struct command *self, int argc, char **argv, void (*print)(struct buf *out))
{
	struct buf b;
	int rest = 0;
	enum flags_result f = flags_parse(self, NULL, 0, argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	buf_init(&b, BUF_CAP_FILE);
	print(&b);
	return print_buf(&b);
}

static void
print_doc(struct buf *b)
{
	config_doc(&nomos_options_config, b);
}

static void
print_example(struct buf *b)
{
	config_example(&nomos_options_config, b);
}

static void
print_schema(struct buf *b)
{
	config_schema(&nomos_options_config, "nomos configuration", b);
}

static int
run_doc(const struct command *self, int argc, char **argv)
{
	return run_printer(self, argc, argv, print_doc);
}

static int
run_example(const struct command *self, int argc, char **argv)
{
	return run_printer(self, argc, argv, print_example);
}

static int
run_schema(const struct command *self, int argc, char **argv)
{
	return run_printer(self, argc, argv, print_schema);
}

static const struct command subcommands[] = {
	{.name = "check",
		.summary = "Say whether a file is valid, with every error in it",
		.usage = "nomos config check -c FILE",
		.run = run_check},
	{.name = "dump",
		.summary = "Print the effective configuration, secrets hidden",
		.usage = "nomos config dump -c FILE [--format yaml|json]",
		.run = run_dump},
	{.name = "diff",
		.summary = "Say what a reload would change: of two files, or of a running gateway",
		.usage = "nomos config diff OLD NEW | -c FILE [--url URL]",
		.examples = "  nomos config diff /etc/nomos/nomos.yaml nomos.yaml.new\n"
			    "  nomos config diff -c /etc/nomos/nomos.yaml\n\n"
			    "Without files the running gateway is asked what a reload of its own "
			    "files would\nchange, with an operator's key. Of secrets it says only "
			    "that they changed.\nExit 1: a reload would be refused.\n",
		.run = config_run_diff},
	{.name = "doc",
		.summary = "Print the reference of all keys as Markdown",
		.usage = "nomos config doc",
		.run = run_doc},
	{.name = "example",
		.summary = "Print a commented file with every key",
		.usage = "nomos config example",
		.run = run_example},
	{.name = "schema",
		.summary = "Print the JSON schema of the file",
		.usage = "nomos config schema",
		.run = run_schema},
};

const struct command cmd_config = {
	.name = "config",
	.summary = "Check, print and document the configuration",
	.subcommands = subcommands,
	.n_subcommands = sizeof(subcommands) / sizeof(subcommands[0]),
};
