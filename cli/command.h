/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A subcommand: a row in a table with its help, its flags and its function. Exit codes everywhere: 0 done, 1 the answer is no or the
 * work failed, 2 wrong usage (nomos-mcp-cli.md 1.2). One thread.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum flag_kind {
	FLAG_TEXT = 0, /* value: const char ** */
	FLAG_SWITCH,   /* value: bool * */
};

/* Go's style: -name value, --name value, --name=value, all the same; parsing stops at the first other argument or at "--". */
struct flag {
	const char *name;
	const char *short_name; /* NULL: none */
	enum flag_kind kind;
	void *value;
	const char *placeholder; /* "FILE"; NULL for switches */
	const char
		*env; /* variable read when the flag is absent, blank counts as unset; NULL: none */
	const char *help;
};

struct command {
	const char *name;
	const char *summary;  /* one line for the list */
	const char *usage;    /* "nomos serve -c FILE [-p BUNDLE]" */
	const char *examples; /* lines, each with its newline; NULL: none */
	int (*run)(const struct command *self, int argc, char **argv); /* argv[0] is the name */
	const struct command *subcommands; /* of a group; run is NULL then */
	size_t n_subcommands;
};

enum flags_result {
	FLAGS_OK = 0,
	FLAGS_HELP,  /* help was printed: exit 0 */
	FLAGS_WRONG, /* said what is wrong and printed the help: exit 2 */
};

/*
 * Reads the flags of argv[1..]; *rest is the index of the first argument behind them. At most max_rest may follow
 * (FLAGS_WRONG otherwise).
 */
enum flags_result flags_parse(const struct command *self, const struct flag *flags, size_t n_flags,
	int argc, char **argv, int max_rest, int *rest);
/* The same with one argument, before the flags, between them or behind; *argument stays NULL without it. Changes argv. */
enum flags_result flags_parse_with_argument(const struct command *self, const struct flag *flags,
	size_t n_flags, int argc, char **argv, const char **argument);
/* EXIT_DONE for FLAGS_HELP, EXIT_USAGE for FLAGS_WRONG. */
int flags_exit(enum flags_result r);

/* Runs the row that argv[0] names; help, unknown names (with the nearest) and groups are dealt with. `path` is what stands before
 * it ("nomos", "nomos audit"). */
int command_dispatch(
	const char *path, const struct command *commands, size_t n, int argc, char **argv);

/* The rows of the program, in the order of the help. */
#define X(name) extern const struct command cmd_##name;
#include "command_tbl.h"
#undef X

/* Prints "[ERROR] text" and returns EXIT_FAILED. */
int command_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Whether to colour this stream: a terminal, NO_COLOR empty, TERM not dumb. */
bool command_has_colour(int fd);

#endif
