/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One question of a person to a running gateway, with a key of that person's own, and its answer on stdout. One thread.
 */
#ifndef CLI_OPERATOR_CALL_H
#define CLI_OPERATOR_CALL_H

#include <stdbool.h>

#include "base/span.h"
#include "credentials.h"
#include "target.h"

struct buf;
struct json;

#define OPERATOR_REPLY_BYTES_MAX (8 * 1024 * 1024)
#define OPERATOR_PATH_MAX 256

struct operator_flags {
	struct credentials_flags where;
	struct target_flags to;
	const char *format;
};

#define OPERATOR_FLAGS(f)                                                                          \
	CREDENTIALS_OPERATOR_FLAGS((f).where), TARGET_FLAGS((f).to),                               \
	{                                                                                          \
		"format", NULL, FLAG_TEXT, &(f).format, "FORMAT", NULL, "text or json"             \
	}

struct operator_question {
	const char *path;
	struct span body;
	const char *answer_has; /* a member; what comes without it is not a gateway's word */
};

/* Writes the answer for a terminal. */
typedef void (*operator_print_fn)(struct buf *out, const struct json *tree);

/*
 * Sends the body by POST, or GET without one, and prints what comes with 200: as it is when is_json, else by as_text, or pretty
 * without one. The exit status; what went wrong has been said.
 */
int operator_call(const struct operator_flags *f, const struct operator_question *q, bool is_json,
	operator_print_fn as_text);
/* Only asks: what comes with 200, which is JSON, is appended to reply, of at least OPERATOR_REPLY_BYTES_MAX + 1. */
int operator_fetch(
	const struct operator_flags *f, const struct operator_question *q, struct buf *reply);
/* The same for an answer that is here already. */
int operator_print_reply(const struct buf *reply, bool is_json, operator_print_fn as_text);

/* NULL leaves *is_json. False: said so. */
bool operator_parse_format(const char *format, bool *is_json);
/* A string member; empty otherwise. */
struct span operator_find_text(const struct json *tree, const char *name);
/* Appends the word, visible and on this line, behind a blank unless it begins one; "-" for nothing. */
void operator_add_word(struct buf *out, struct span v);

#endif
