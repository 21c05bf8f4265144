/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Config rows. A module lists its keys once, in a `..._options_tbl.h` of its own; struct,
 * defaults, ranges, environment, dump, reference, example file, JSON schema and reload diff come
 * from that list. One table is one object of the file. Each line of the list but the last ends in
 * a backslash:
 *
 * gateway/gateway_options_tbl.h:
 *     #define GATEWAY_OPTIONS(ROW, T)
 *         ROW(T, STRING, listen, .def = ":8080", .env = CONFIG_ENV, .flags = CONFIG_REQUIRED,
 *             .prose = "Address and port to listen on.")
 *         ROW(T, INT, concurrency_limit, .def = "32", .min = 1, .max = 1000000,
 *             .env = CONFIG_ENV, .flags = CONFIG_RELOAD, .prose = "Actions in flight at a time.")
 *         ROW(T, OBJECT(gateway_tls_options), tls, .prose = "TLS of the listener.")
 * its public header:
 *     struct gateway_options { GATEWAY_OPTIONS(CONFIG_MEMBER, gateway_options) };
 *     extern const struct config_object gateway_options_config;
 * one .c file, tables of inner objects first:
 *     static const config_check_fn checks[] = {check_cooldown, NULL};
 *     CONFIG_OBJECT(gateway_options, GATEWAY_OPTIONS, .prose = "The HTTP plane.",
 *         .checks = checks);
 * its unit test: config_verify (config/print.h) says nothing about gateway_options_config.
 *
 * The program's root table has one OBJECT row per section. All of it is const data; any thread.
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"
#include "config/values.h"

struct config_object;
struct config_scope;

/*
 * The kinds of a row, `INT` in a list for CONFIG_TYPE_INT, and the member each makes. Texts that
 * were loaded are never NULL, hold no NUL byte and have one behind them.
 */
enum config_type {
	CONFIG_TYPE_BOOL = 0, /* bool */
	CONFIG_TYPE_INT,      /* int64_t; needs .min and .max */
	CONFIG_TYPE_STRING,   /* struct span; .min and .max bound its bytes */
	CONFIG_TYPE_SECRET,   /* struct span, never printed, overwritten by config_wipe */
	CONFIG_TYPE_PATH,     /* struct span; a relative one starts at the file's folder */
	CONFIG_TYPE_ENUM,     /* ENUM(tag): enum tag, the position in .words, 0 first */
	CONFIG_TYPE_STRINGS,  /* struct config_strings; .words limits the elements */
	CONFIG_TYPE_PATHS,    /* struct config_strings */
	CONFIG_TYPE_MAP, /* struct config_map, {"name": "text"}; with CONFIG_VALUE_LISTS, {"name": ["text"]} too */
	CONFIG_TYPE_MAP_STRINGS, /* struct config_map_strings, {"name": ["text"]} */
	CONFIG_TYPE_OBJECT,      /* OBJECT(t): struct t, embedded; its table is t_config */
	CONFIG_TYPE_LIST,        /* LIST(t): struct { struct t *v; size_t n; }, [{...}] */
	CONFIG_TYPE_LATER,       /* bool, "asked for": a part not built yet, any content */
};

enum config_flag {
	CONFIG_RELOAD = 1 << 0,      /* may change while running; on a LIST or map, for all of it */
	CONFIG_REQUIRED = 1 << 1,    /* neither absent without default nor empty */
	CONFIG_DEPRECATED = 1 << 2,  /* setting it warns with .reason */
	CONFIG_SECRET_KEYS = 1 << 3, /* MAP: the names are secrets (API keys) */
	CONFIG_SECRET_VALUES = 1 << 4, /* MAP: the values are secrets */
	CONFIG_FOLD = 1 << 5,          /* .words match trimmed and without regard to case */
	CONFIG_ENV_IS_NAME = 1 << 6,   /* MAP: the environment gives the name, not the value */
	CONFIG_VALUE_LISTS = 1 << 7, /* MAP: a name may have a list of values; each makes a pair */
};

/* For keys of parts not built yet: what setting one to something (true, not empty, not 0) does. */
enum config_unbuilt {
	CONFIG_BUILT = 0,
	CONFIG_UNBUILT_INFO,    /* another command's: said at INFO */
	CONFIG_UNBUILT_WARN,    /* its absence only denies, or loses nothing */
	CONFIG_UNBUILT_REFUSED, /* ignoring it would weaken safety: an error */
};

/* As .env: the name made from the path, gateway.tls.key_file -> NOMOS_GATEWAY_TLS_KEY_FILE. */
#define CONFIG_ENV ""

struct config_row {
	const char *name;
	enum config_type type;
	size_t offset;
	const struct config_object *object; /* OBJECT, LIST: the table */

	/* Default as the environment would give it, lists comma separated. NULL: false, 0, empty. */
	const char *def;
	/* INT: the range; texts: bytes; lists and maps: elements. A max of 0 there: CONFIG_..._MAX. */
	int64_t min;
	int64_t max;
	const char *unit;  /* "seconds", "bytes": for messages and the reference */
	const char *words; /* ENUM, STRINGS: "a|b|c" */
	unsigned flags;    /* enum config_flag */

	/* NULL: none; CONFIG_ENV; or a name. LATER with .gate: sets the gate. Not in lists. */
	const char *env;
	/* MAP: the environment adds one pair, its text and the value of this earlier sibling row. */
	const char *env_with;
	/* The sibling row that is emptied when this one comes from environment or override. */
	const char *clears;

	enum config_unbuilt unbuilt;
	/* LATER: asked for when this boolean member is true. NULL: when anything is in it. */
	const char *gate;
	const char *reason; /* with .unbuilt or CONFIG_DEPRECATED: why, or what to use instead */
	const char *prose;  /* one or two sentences for the reference; required */
};

/*
 * A named rule over several values of one object: calls config_fail or config_note, and may also
 * fill what depends on other values. Runs when the object was read without error, inner objects
 * first; does no I/O.
 */
typedef void (*config_check_fn)(void *options, struct config_scope *scope);

struct config_object {
	const char *name;
	const char *prose;
	const struct config_row *rows;
	size_t n_rows;
	size_t size;
	const config_check_fn *checks; /* ends with NULL; NULL: none */
};

enum {
	CONFIG_ROWS_MAX = 64,       /* rows of one table */
	CONFIG_STRING_MAX = 4096,   /* bytes of one string when the row says nothing */
	CONFIG_VALUES_MAX = 4,      /* values of one name, with CONFIG_VALUE_LISTS */
	CONFIG_ELEMENTS_MAX = 8192, /* elements of a list or map when the row says nothing */
};

#define CONFIG_C_BOOL bool
#define CONFIG_C_INT int64_t
#define CONFIG_C_STRING struct span
#define CONFIG_C_SECRET struct span
#define CONFIG_C_PATH struct span
#define CONFIG_C_ENUM(tag) enum tag
#define CONFIG_C_STRINGS struct config_strings
#define CONFIG_C_PATHS struct config_strings
#define CONFIG_C_MAP struct config_map
#define CONFIG_C_MAP_STRINGS struct config_map_strings
#define CONFIG_C_OBJECT(t) struct t
#define CONFIG_C_LIST(t)                                                                           \
	struct {                                                                                   \
		struct t *v;                                                                       \
		size_t n;                                                                          \
	}
#define CONFIG_C_LATER bool

#define CONFIG_R_BOOL .type = CONFIG_TYPE_BOOL
#define CONFIG_R_INT .type = CONFIG_TYPE_INT
#define CONFIG_R_STRING .type = CONFIG_TYPE_STRING
#define CONFIG_R_SECRET .type = CONFIG_TYPE_SECRET
#define CONFIG_R_PATH .type = CONFIG_TYPE_PATH
#define CONFIG_R_ENUM(tag) .type = CONFIG_TYPE_ENUM
#define CONFIG_R_STRINGS .type = CONFIG_TYPE_STRINGS
#define CONFIG_R_PATHS .type = CONFIG_TYPE_PATHS
#define CONFIG_R_MAP .type = CONFIG_TYPE_MAP
#define CONFIG_R_MAP_STRINGS .type = CONFIG_TYPE_MAP_STRINGS
#define CONFIG_R_OBJECT(t) .type = CONFIG_TYPE_OBJECT, .object = &t##_config
#define CONFIG_R_LIST(t) .type = CONFIG_TYPE_LIST, .object = &t##_config
#define CONFIG_R_LATER .type = CONFIG_TYPE_LATER

/* Passed as ROW: a struct member, a table row. */
#define CONFIG_MEMBER(T, kind, field, ...) CONFIG_C_##kind field;
#define CONFIG_ROW(T, kind, field, ...)                                                            \
	{.name = #field, CONFIG_R_##kind, .offset = offsetof(struct T, field), __VA_ARGS__},

/* Defines T_config from the list; the rest are designated members: .prose, .checks. */
#define CONFIG_OBJECT(T, LIST, ...)                                                                \
	static const struct config_row T##_rows[] = {LIST(CONFIG_ROW, T)};                         \
	_Static_assert(ARRAY_LEN(T##_rows) <= CONFIG_ROWS_MAX, "too many rows in one table");      \
	extern const struct config_object T##_config;                                              \
	const struct config_object T##_config = {.name = #T,                                       \
		.rows = T##_rows,                                                                  \
		.n_rows = ARRAY_LEN(T##_rows),                                                     \
		.size = sizeof(struct T),                                                          \
		__VA_ARGS__}

#endif
