/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in redaction rules: a short regular expression that finds the place, and a shape that
 * says which bytes around the place go. The shapes are what regular expressions cannot say without
 * eating too much. Private to base.
 */
#ifndef BASE_REDACT_RULES_H
#define BASE_REDACT_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

enum redact_shape {
	SHAPE_MATCH = 0,  /* what matched */
	SHAPE_LINE,       /* and the rest of the line, which is not blank */
	SHAPE_CREDENTIAL, /* and blanks and a run of letters, digits and + / = . _ ~ - */
	SHAPE_BASIC,      /* and blanks and a run of letters, digits and + / = */
	SHAPE_JWT,        /* three runs joined by dots, of which the match begins the first */
	SHAPE_ACCESS_KEY, /* and upper-case letters and digits, then a run as in SHAPE_CREDENTIAL */
	SHAPE_WORD,       /* and such a run, where no letter or digit stands before the match */
	SHAPE_ASSIGNED,   /* the match ends in : or =; the quoted string or the word that follows */
	SHAPE_USERINFO,   /* between "://", the match, and the "@" behind it */
	SHAPE_PEM_BEGIN,  /* the marker line of a block, */
	SHAPE_PEM_END,    /* and of its end */
};

struct redact_rule {
	const char *pattern;
	bool any_case;
	enum redact_shape shape;
	size_t min; /* bytes of the run; SHAPE_USERINFO: of a user without a password */
};

struct redact_range {
	size_t from;
	size_t to;
};

extern const struct redact_rule redact_rules[];
extern const size_t redact_n_rules;

/*
 * The range to replace for a match of the rule, not a PEM marker or a JWT; an empty one when there is
 * nothing to replace. What lies before `seen` is taken already and is not read again to find where
 * the range ends, so that many matches in one line stay linear.
 */
struct redact_range redact_rule_extend(
	const struct redact_rule *rule, struct span text, struct redact_range match, size_t seen);
/*
 * The range of the JSON web token that begins with the match (RFC 7519, and JWE with its five
 * parts); an empty one when it is none. *checked: no start before it needs to be looked at.
 */
struct redact_range redact_rule_jwt(struct span text, struct redact_range match, size_t *checked);
/* Whether the text behind a PEM BEGIN marker looks like the start of a block and not like prose. */
bool redact_rule_is_pem_body(struct span rest);

#endif
