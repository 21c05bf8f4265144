/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the commands of `nomos audit` share: arguments, the ledger they are about, rows and
 * progress. One thread. */
#ifndef CLI_CMD_AUDIT_H
#define CLI_CMD_AUDIT_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/source.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/sign.h"
#include "command.h"

#define AUDIT_PATH_MAX 4096

struct buf;
struct loaded_config;

/* The ledger or export a command is about. */
struct audit_file {
	const char *config; /* of -c; NULL: none */
	const char *path;   /* as given, or ledger.path of the configuration */
	const char
		*key_path; /* audit.checkpoint_key_path of the configuration; "" when not known */
	struct loaded_config *loaded;
};

/* The -c row of every command. */
#define AUDIT_CONFIG_FLAG(file)                                                                    \
	{                                                                                          \
		"config", "c", FLAG_TEXT, &(file)->config, "CONFIG", NULL,                         \
			"take FILE from a configuration's ledger.path"                             \
	}

/*
 * Reads flags before, between and behind the arguments. At most max_args into args; the first
 * max_args - 1 missing ones are NULL. False: *status is what to exit with.
 */
bool audit_parse(const struct command *self, const struct flag *flags, size_t n_flags, int argc,
	char **argv, const char **args, size_t max_args, int *status);
/* Settles path and key_path; given is the argument or NULL. False: *status is EXIT_USAGE, and the
 * reason was said. */
bool audit_file_find(
	struct audit_file *f, const struct command *self, const char *given, int *status);
void audit_file_fini(struct audit_file *f);

/* Loads key_path, or `<path>.pub` where it exists. *out is NULL when there is none. */
MUSTCHECK enum err audit_load_public_key(
	const char *path, const char *key_path, struct sign_key **out, struct errinfo *ei);

/* "text" or "json" (NULL: text). False: said so. */
bool audit_parse_format(const char *format, bool *is_json);

/* One record to stdout, as a row or as an export line; false when stdout takes no more. */
bool audit_print_record(const struct source_record *r, bool is_json, bool has_colour);
/* Flushes stdout; EXIT_FAILED, said so, when something could not be written. */
int audit_finish_stdout(void);

/* A line on stderr that counts records, on a terminal only. */
struct audit_progress {
	const char *what; /* "verified" */
	uint64_t total;   /* 0: not known */
	bool is_shown;
};
void audit_progress_show(void *progress, uint64_t n_records);
void audit_progress_end(const struct audit_progress *p);

/* --received of verify. arg and others that go with a ledger must be NULL. The exit status. */
int audit_verify_received(const struct command *self, const char *arg, const char *path,
	const char *key_path, const char *format);

int audit_run_verify(const struct command *self, int argc, char **argv);
int audit_run_export(const struct command *self, int argc, char **argv);
int audit_run_query(const struct command *self, int argc, char **argv);
int audit_run_sinks(const struct command *self, int argc, char **argv);
int audit_run_tail(const struct command *self, int argc, char **argv);
int audit_run_backup(const struct command *self, int argc, char **argv);
int audit_run_seal(const struct command *self, int argc, char **argv);

#endif
