/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* JSON on its way to a reader: its strings and names redacted one by one, so that no pattern eats the JSON around it. Any thread. */
#ifndef PIPELINE_REDACT_JSON_H
#define PIPELINE_REDACT_JSON_H

#include <stddef.h>

#include "base/span.h"

struct arena;
struct buf;
struct json;
struct redactor;

/*
 * Appends v, members in the order they had. What no longer fits the arena becomes [REDACTED]. A name with that in it is followed
 * by the member's number, so that no two members become one. The depth is the parser's.
 */
void redact_json(
	const struct redactor *redactor, const struct json *v, struct arena *a, struct buf *out);

/* Appends a member's name as a JSON string; clean: the name redacted, with its number when it could be another's too. */
void redact_json_add_name(struct buf *out, struct span name, struct span clean, size_t index);
/* What follows such a name: empty, or its number. */
struct redact_json_number {
	char text[24];
};
struct redact_json_number redact_json_number_of(struct span name, struct span clean, size_t index);

#endif
