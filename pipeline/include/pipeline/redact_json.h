/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* JSON on its way to a reader: its strings and names redacted one by one, so that no pattern eats the JSON around it. Any thread. */
#ifndef PIPELINE_REDACT_JSON_H
#define PIPELINE_REDACT_JSON_H

struct arena;
struct buf;
struct json;
struct redactor;

/* Appends v, members in the order they had. What no longer fits the arena becomes [REDACTED]. The depth is the parser's. */
void redact_json(
	const struct redactor *redactor, const struct json *v, struct arena *a, struct buf *out);

#endif
