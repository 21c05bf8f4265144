/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Text into options: decode (JSON, or YAML when the name ends in .yaml or .yml), environment,
 * overrides, defaults, ranges, checks, in that order of precedence from last to first for each key
 * (nomos-http.md 3.1, 3.5; differences: every error in one run, an environment value that does not
 * parse is an error, default paths are relative to the file as well). Nothing here does I/O but
 * config_read and config_folder. Blocking start-up and reload code; never on a loop.
 */
#ifndef CONFIG_LOAD_H
#define CONFIG_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "config/table.h"

struct arena;
struct buf;

enum {
	CONFIG_FILE_BYTES_MAX = 4 * 1024 * 1024,
	CONFIG_ERRORS_MAX = 20, /* kept; the rest is counted */
	CONFIG_NOTES_MAX = 40,
};

/* The value of an environment variable, NULL or "" when unset; lives until config_load returns. */
typedef const char *(*config_env_fn)(const char *name, void *arg);

/* A value from the command line: replaces what file and environment say. */
struct config_override {
	const char *key;           /* "policy.policy_bundle_paths"; a row outside of lists */
	const char *origin;        /* "--policy-bundle"; for messages */
	const struct span *values; /* one, or the elements of a list */
	size_t n_values;
};

struct config_input {
	const char
		*file; /* as the operator gave it: names messages, format and folder; NULL: none */
	struct span text;      /* its content; unused without a file */
	const char *directory; /* relative paths start here; NULL: the folder of file, or "." */
	config_env_fn env;     /* NULL: none */
	void *env_arg;
	const struct config_override *overrides;
	size_t n_overrides;
	bool accept_hidden; /* take "(secret)" of a dump as a secret; never for one to be served */
};

enum config_level { CONFIG_ERROR = 0, CONFIG_WARN, CONFIG_INFO };

struct config_issue {
	enum config_level level;
	uint32_t line; /* 0: not in the file */
	uint32_t column;
	struct span text; /* "nomos.json:3:5: gateway.listen: reason", no secret in it, then NUL */
};

/* Errors first, then by place in the file. Lives in the arena of config_load. */
struct config_report {
	const struct config_issue *issues;
	size_t n_issues;
	size_t n_errors; /* all of them, kept or not */
};

/*
 * Fills *options (root->size bytes) and all it points to from the arena, which must live as long as
 * they are used. Returns OK with warnings and notes in *report; ERR_INVALID or ERR_PARSE with the
 * errors in *report and the first in ei ("... (and 3 more)"); ERR_NOMEM when the arena is
 * exhausted. On failure *options is zeroed. Malformed text is reported as `decode config: ...` or
 * `config contains trailing data`.
 */
MUSTCHECK enum err config_load(const struct config_object *root, const struct config_input *in,
	struct arena *a, void *options, struct config_report *report, struct errinfo *ei);
/* Reads the file at path into text (heap buffer with a cap of CONFIG_FILE_BYTES_MAX), which the
 * caller wipes with config_wipe_text. "read config: ..." with fdio's codes. */
MUSTCHECK enum err config_read(const char *path, struct buf *text, struct errinfo *ei);
/* The absolute folder of file, for config_input.directory, in the arena: paths then mean the same
 * wherever a dump of them is read. NULL when the working directory or memory is gone. */
const char *config_folder(const char *file, struct arena *a);
/* Overwrites and frees the buffer of config_read. */
void config_wipe_text(struct buf *text);
/* Overwrites every secret that the options hold. Call before the arena goes. */
void config_wipe(const struct config_object *root, void *options);

/* One key that two option sets hold differently. Borrowed during the visit. */
struct config_change {
	const char *path;   /* "gateway.listen" */
	bool needs_restart; /* a reload that finds it is refused */
	const struct config_row *row;
	const void *before; /* the row's members */
	const void *after;
};
typedef void (*config_change_fn)(const struct config_change *change, void *arg);
/* Visits each key that differs, in the order of the tables. */
void config_compare(const struct config_object *root, const void *before, const void *after,
	config_change_fn visit, void *arg);

/*
 * Compares two loaded option sets: an ERROR for each changed key without CONFIG_RELOAD, INFO naming
 * each other one. ERR_INVALID when there is an error (first one in ei); ERR_NOMEM. *report lives in
 * the arena.
 */
MUSTCHECK enum err config_diff(const struct config_object *root, const void *before,
	const void *after, struct arena *a, struct config_report *report, struct errinfo *ei);

/* For checks. key is relative to the object ("tls.cert_file", "layers[2]", "" for itself); the
 * place comes from it. */
void config_fail(struct config_scope *scope, const char *key, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void config_note(struct config_scope *scope, enum config_level level, const char *key,
	const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The path as a PATH row would hold it, in the arena; empty stays empty; {NULL, 0} when memory is
 * out (sticky). */
struct span config_resolve(struct config_scope *scope, struct span path);
/* A copy of text in the arena, with a NUL behind it, for a check that puts a value into another form; {NULL, 0}
 * when memory is out (sticky). */
struct span config_keep(struct config_scope *scope, struct span text);

#endif
