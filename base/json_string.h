/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of a JSON string: checked in one scan, decoded in a second one only when it has
 * escapes. Private.
 */
#ifndef BASE_JSON_STRING_H
#define BASE_JSON_STRING_H

#include "base/attr.h"
#include "base/json.h"

struct json_string {
	const char *at;   /* the closing quote, or the offending byte */
	const char *what; /* on failure */
	bool has_escapes;
};

/* Checks the bytes from p, which lies behind the opening quote, to the closing one. */
MUSTCHECK enum json_fault json_string_scan(const char *p, const char *end, struct json_string *out);
/* Decodes raw, which has been scanned, to out (raw.n bytes are enough); returns the length. */
size_t json_string_decode(struct span raw, char *out);

#endif
