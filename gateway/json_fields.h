/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Small request bodies: one JSON object of known members and no others. Worker's thread. */
#ifndef GATEWAY_JSON_FIELDS_H
#define GATEWAY_JSON_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;

struct json_field {
	const char *name;
	struct span *text; /* a string, trimmed; NULL: it is a boolean */
	bool *flag;
	bool is_required; /* and not empty */
};

#define JSON_FIELDS_MAX 12

/* Fills in what is there; the rest stays. ERR_PARSE, ERR_INVALID with the text for the client: missing is said for required
 * members. ERR_TOO_LARGE for the arena. The texts lie in body or arena. */
MUSTCHECK enum err json_fields_read(struct span body, const struct json_field *fields, size_t n,
	const char *missing, struct arena *a, struct errinfo *ei);

#endif
