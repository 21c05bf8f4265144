/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads members of a params object: presence, type, bytes. Private to the policy module. All return ERR_INVALID with a text
 * that starts with the member's name, or ERR_TOO_LARGE for the arena. A null optional member counts as absent.
 */
#ifndef POLICY_PARAMS_TEXT_H
#define POLICY_PARAMS_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

struct arena;

/* What a text may hold. TEXT_NAME, the strictest, is zero. */
enum text_rule {
	TEXT_NAME = 0, /* not blank, no control byte */
	TEXT_ENV_KEY,  /* not blank, no control byte, no '=' */
	TEXT_TOKEN,    /* RFC 9110 token */
	TEXT_FIELD,    /* header value: no control byte but tab */
	TEXT_ARG,      /* no NUL: an argv token, it may be empty */
	TEXT_FREE,     /* any */
};

/* Whether s keeps the rule; *why (static) says what it breaks. */
bool params_text_is_ok(struct span s, enum text_rule rule, const char **why);

/* The member's text; {NULL, 0} when it is absent and not required. */
MUSTCHECK enum err params_get_text(const struct json *o, const char *name, bool required,
	enum text_rule rule, struct span *out, struct errinfo *ei);
/* A list of texts; items is NULL and n is 0 when it is absent. */
struct text_list {
	const struct span *items;
	size_t n;
};
MUSTCHECK enum err params_get_list(const struct json *o, const char *name, enum text_rule rule,
	struct arena *a, struct text_list *out, struct errinfo *ei);
/*
 * A path below the workspace root as plain text: relative, no "..", no backslash, no control byte. "." segments, doubled and
 * trailing slashes are dropped; the root itself is the empty text.
 */
MUSTCHECK enum err params_get_path(const struct json *o, const char *name, bool required,
	struct arena *a, struct span *out, struct errinfo *ei);

#endif
