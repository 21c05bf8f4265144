/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Flags in every spelling, where parsing stops, what is refused, and which command runs
 * (nomos-mcp-cli.md 1.2). */
#include "command.h"

#include <stdlib.h>
#include <string.h>

#include "support/test.h"

#define ARGS_MAX 8

struct row {
	const char *args[ARGS_MAX]; /* behind the name */
	int max_rest;
	enum flags_result want;
	const char *file; /* NULL: not set */
	bool is_on;
	int rest; /* index of the first argument behind the flags */
};

static const struct row rows[] = {
	{{NULL}, 0, FLAGS_OK, NULL, false, 1},
	{{"-c", "x"}, 0, FLAGS_OK, "x", false, 3},
	{{"--c", "x"}, 0, FLAGS_OK, "x", false, 3},
	{{"-config", "x"}, 0, FLAGS_OK, "x", false, 3},
	{{"--config", "x"}, 0, FLAGS_OK, "x", false, 3},
	{{"-config=x"}, 0, FLAGS_OK, "x", false, 2},
	{{"--config=x=y"}, 0, FLAGS_OK, "x=y", false, 2},
	{{"--config="}, 0, FLAGS_OK, "", false, 2},
	{{"--config", "--deep"}, 0, FLAGS_OK, "--deep", false, 3},
	{{"-c", "x", "-c", "y"}, 0, FLAGS_OK, "y", false, 5},
	{{"--deep"}, 0, FLAGS_OK, NULL, true, 2},
	{{"--deep=false"}, 0, FLAGS_OK, NULL, false, 2},
	{{"-deep=1"}, 0, FLAGS_OK, NULL, true, 2},
	{{"--deep=maybe"}, 0, FLAGS_WRONG, NULL, false, 0},
	{{"file", "--deep"}, 2, FLAGS_OK, NULL, false, 1},
	{{"--", "--deep"}, 1, FLAGS_OK, NULL, false, 2},
	{{"-"}, 1, FLAGS_OK, NULL, false, 1},
	{{"--config"}, 0, FLAGS_WRONG, NULL, false, 0},
	{{"--confg", "x"}, 0, FLAGS_WRONG, NULL, false, 0},
	{{"--Config", "x"}, 0, FLAGS_WRONG, NULL, false, 0},
	{{"a", "b"}, 1, FLAGS_WRONG, NULL, false, 0},
	{{"-h"}, 0, FLAGS_HELP, NULL, false, 0},
	{{"--deep", "-help"}, 0, FLAGS_HELP, NULL, true, 0},
	{{"--help", "--nonsense"}, 0, FLAGS_HELP, NULL, false, 0},
};

static const struct command self = {.name = "x", .summary = "s", .usage = "nomos x"};

static enum flags_result
parse(const struct row *r, const char **file, bool *is_on, int *rest)
{
	const struct flag flags[] = {
		{"config", "c", FLAG_TEXT, file, "FILE", "NOMOS_TEST_FLAG", "a file"},
		{"deep", NULL, FLAG_SWITCH, is_on, NULL, NULL, "a switch"},
	};
	char copies[ARGS_MAX + 1][32] = {"x"};
	char *argv[ARGS_MAX + 2] = {copies[0]};
	int argc = 1;

	for (; argc <= ARGS_MAX && r->args[argc - 1] != NULL; argc++) {
		memcpy(copies[argc], r->args[argc - 1], strlen(r->args[argc - 1]) + 1);
		argv[argc] = copies[argc];
	}
	static char kept[32];
	enum flags_result result = flags_parse(&self, flags, 2, argc, argv, r->max_rest, rest);
	if (*file != NULL) {
		memcpy(kept, *file, strlen(*file) + 1);
		*file = kept;
	}
	return result;
}

TEST(flags_in_every_spelling)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *file = NULL;
		bool is_on = false;
		int rest = 0;
		enum flags_result got = parse(&rows[i], &file, &is_on, &rest);

		if (got != rows[i].want || is_on != rows[i].is_on)
			FAIL("row %zu: result %d, switch %d", i, (int)got, (int)is_on);
		if (got != FLAGS_OK)
			continue;
		if ((file == NULL) != (rows[i].file == NULL) ||
			(file != NULL && strcmp(file, rows[i].file) != 0))
			FAIL("row %zu: value %s", i, file != NULL ? file : "(none)");
		if (rest != rows[i].rest)
			FAIL("row %zu: stopped at %d", i, rest);
	}
}

TEST(a_flag_wins_over_the_environment_and_blank_is_unset)
{
	static const struct row none = {.args = {NULL}};
	static const struct row given = {.args = {"-c", "flag"}};
	const char *file = NULL;
	bool is_on = false;
	int rest = 0;

	setenv("NOMOS_TEST_FLAG", "environment", 1);
	CHECK_INT(parse(&none, &file, &is_on, &rest), FLAGS_OK);
	CHECK_STR(file, "environment");
	file = NULL;
	CHECK_INT(parse(&given, &file, &is_on, &rest), FLAGS_OK);
	CHECK_STR(file, "flag");
	file = NULL;
	setenv("NOMOS_TEST_FLAG", "  ", 1);
	CHECK_INT(parse(&none, &file, &is_on, &rest), FLAGS_OK);
	CHECK(file == NULL);
	unsetenv("NOMOS_TEST_FLAG");
}

static int n_runs;

static int
run_seven(const struct command *c, int argc, char **argv)
{
	(void)c;
	(void)argv;
	n_runs++;
	return 7 + argc;
}

TEST(dispatch_runs_the_named_command_only)
{
	static const struct command inner[] = {
		{.name = "check", .summary = "s", .usage = "u", .run = run_seven}};
	static const struct command commands[] = {
		{.name = "doctor", .summary = "s", .usage = "u", .run = run_seven},
		{.name = "config", .summary = "s", .subcommands = inner, .n_subcommands = 1},
	};
	static const struct {
		const char *args[3];
		int want;
		int n_runs;
	} cases[] = {
		{{NULL}, EXIT_USAGE, 0},
		{{"help"}, EXIT_DONE, 0},
		{{"--help"}, EXIT_DONE, 0},
		{{"-h"}, EXIT_DONE, 0},
		{{"doctor"}, 8, 1},
		{{"doctor", "x"}, 9, 1},
		{{"docter"}, EXIT_USAGE, 0},
		{{"doctorx-and-more"}, EXIT_USAGE, 0},
		{{""}, EXIT_USAGE, 0},
		{{"config"}, EXIT_USAGE, 0},
		{{"config", "help"}, EXIT_DONE, 0},
		{{"config", "chekc"}, EXIT_USAGE, 0},
		{{"config", "check"}, 8, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char copies[3][32];
		char *argv[4] = {NULL};
		int argc = 0;
		for (; argc < 3 && cases[i].args[argc] != NULL; argc++) {
			memcpy(copies[argc], cases[i].args[argc], strlen(cases[i].args[argc]) + 1);
			argv[argc] = copies[argc];
		}
		n_runs = 0;
		int got = command_dispatch("nomos", commands, ARRAY_LEN(commands), argc, argv);
		if (got != cases[i].want || n_runs != cases[i].n_runs)
			FAIL("case %zu: status %d, runs %d", i, got, n_runs);
	}
}

SUITE("command", TEST_ROW(flags_in_every_spelling),
	TEST_ROW(a_flag_wins_over_the_environment_and_blank_is_unset),
	TEST_ROW(dispatch_runs_the_named_command_only))
