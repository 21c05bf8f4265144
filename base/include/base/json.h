/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict JSON (RFC 8259, narrowed) and its canonical form (nomos-policy.md 1.7). One pass over the
 * raw bytes builds a tree in an arena: member names are unique, strings are valid UTF-8 without
 * lone surrogates, numbers keep their text, nothing follows the value. The YAML reader builds the
 * same tree. Pure; any thread.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct buf;

enum json_type { JSON_NULL = 0, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

#define JSON_DEPTH_MAX 32 /* the root counts */
#define JSON_NUMBER_BYTES_MAX 128

struct json {
	struct span name;   /* member name when the parent is an object; decoded */
	struct span text;   /* STRING: decoded (may hold NUL); NUMBER: as written; else empty */
	struct span source; /* the value's raw bytes; from YAML a scalar's plain text or empty */
	struct json *first; /* ARRAY, OBJECT: children in source order, linked by next */
	struct json *next;
	struct json **sorted; /* OBJECT: n members ordered by name bytes; NULL when n is 0 */
	uint32_t n;           /* ARRAY, OBJECT: number of children */
	uint32_t line;        /* 1-based place of the value's first byte, */
	uint32_t column;      /* in bytes */
	enum json_type type;
	bool boolean; /* BOOL */
};

/* What went wrong, for callers that word it themselves. */
enum json_fault {
	JSON_FAULT_NONE = 0,
	JSON_FAULT_EMPTY,    /* no value at all */
	JSON_FAULT_CUT,      /* input ends inside the value */
	JSON_FAULT_TRAILING, /* bytes other than white space behind the value */
	JSON_FAULT_SYNTAX,
	JSON_FAULT_UTF8,      /* invalid UTF-8, lone surrogate */
	JSON_FAULT_CONTROL,   /* raw control byte in a string, NUL anywhere */
	JSON_FAULT_DUPLICATE, /* member name twice in one object */
	JSON_FAULT_DEPTH,
	JSON_FAULT_NUMBER, /* malformed or over JSON_NUMBER_BYTES_MAX */
	JSON_FAULT_MEMORY, /* arena cap or memory */
};

struct json_error {
	enum json_fault fault;
	size_t offset; /* byte offset of the offending byte */
	uint32_t line;
	uint32_t column;
	char path[128]; /* member path, "$.params.list[3]", cut when long */
};

/*
 * Parses one value. The tree borrows from `text`, which must outlive it, and from the arena, of
 * which it takes at most about 50 bytes per byte of text. *je (may be NULL) is filled on failure,
 * ei->msg reads like `duplicate member "a" at $.params (byte 17)`. ERR_PARSE; ERR_TOO_LARGE for the
 * arena.
 */
MUSTCHECK enum err json_parse(struct span text, struct arena *a, const struct json **out,
	struct json_error *je, struct errinfo *ei);

/*
 * The member with that exact name, or NULL. Binary search. o may be NULL or another type (NULL
 * then).
 */
const struct json *json_find(const struct json *o, struct span name);
const struct json *json_find_cstr(const struct json *o, const char *name);

/*
 * Looks for members of object o that equal a name of known[] only when ASCII case is folded, and,
 * when closed is true, for members that are not in known[]. Returns the first such member in source
 * order, or NULL; *twin (may be NULL) is set to the known name it collides with, NULL when simply
 * unknown.
 */
const struct json *json_find_unknown(const struct json *o, const char *const known[],
	size_t n_known, bool closed, const char **twin);

/* NUMBER that is an integer within the range; false otherwise (1.0 and 1e2 are not integers). */
MUSTCHECK bool json_get_int(const struct json *v, int64_t min, int64_t max, int64_t *out);

/*
 * Canonical form, appended to b: members sorted by name bytes, no white space, strings escaped the
 * way Go does (\b and \f short), numbers with . e E as strings, -0 as 0. Linear in the tree but for
 * big sorts.
 */
void json_canonical(const struct json *v, struct buf *b);
/*
 * The same with numbers typed apart from strings: a number that holds . e E is written as is, not
 * quoted. This is what approvals and idempotency bind to (decisions 9).
 */
void json_canonical_typed(const struct json *v, struct buf *b);
/*
 * One canonical string with its quotes; invalid UTF-8 becomes U+FFFD. For hand-built canonical text
 * and replies.
 */
void json_quote(struct buf *b, struct span s);
/* Pretty text, two blanks per level, members in the order of `sorted`, ends without a newline. */
void json_pretty(const struct json *v, struct buf *b);

/*
 * Trees made by hand, in an arena (for config defaults, dumps, tests). Adding a member keeps
 * `sorted` in order and copies the name. Only containers from json_new may be added to (MUST); v is
 * a new node or a root, in no other container, and may be NULL, so that calls nest. NULL or false
 * on arena failure; adding a member whose name is there already changes nothing and is false too.
 */
MUSTCHECK struct json *json_new(struct arena *a, enum json_type type);
MUSTCHECK struct json *json_new_string(struct arena *a, struct span s);
MUSTCHECK struct json *json_new_int(struct arena *a, int64_t v);
MUSTCHECK struct json *json_new_bool(struct arena *a, bool v);
MUSTCHECK bool json_add_member(struct arena *a, struct json *o, struct span name, struct json *v);
MUSTCHECK bool json_add_element(struct arena *a, struct json *array, struct json *v);

/* "object", "string", ... Static. */
const char *json_type_name(enum json_type t);

#endif
