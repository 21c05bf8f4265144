/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a browser may send to the operator page: path segments, query strings, cookies, and the headers of its files. Whatever
 * comes out has its form: nothing with a slash or a control byte is an id, no value is longer than it may be.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/must.h"
#include "base/utf8.h"
#include "browser.h"
#include "query_string.h"
#include "route_match.h"
#include "ui_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_text(struct span s)
{
	MUST(utf8_is_valid(s));
	for (size_t i = 0; i < s.n; i++)
		MUST((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f);
}

static void
check_path(struct span input)
{
	char bytes[ROUTE_ID_BYTES_MAX];
	struct span raw;
	struct span id;

	if (route_match(SPAN_LIT("/a/{id}/b"), input, &raw))
		MUST(raw.n > 0 && span_find(raw, '/') == raw.n);
	if (!route_decode_id(input, bytes, &id)) {
		MUST(id.n == 0);
		return;
	}
	MUST(id.n > 0 && id.n <= ROUTE_ID_BYTES_MAX && id.n <= input.n);
	MUST(span_find(id, '/') == id.n && span_find(id, '\\') == id.n &&
		span_find(id, '%') == id.n);
	check_text(id);
}

static void
check_query(struct span input)
{
	static const char *const names[] = {"a", "cursor", "text"};
	struct arena *a = arena_new((size_t)1024 * 1024);
	struct span v[3];

	MUST(a != NULL);
	if (query_string_read(input, names, 3, v, a, NULL) == OK) {
		for (size_t i = 0; i < 3; i++) {
			MUST(v[i].n <= QUERY_VALUE_BYTES_MAX);
			check_text(v[i]);
		}
	}
	arena_free(&a);
}

static void
check_headers(struct span input)
{
	struct span value;
	size_t n = browser_find_cookie(input, SPAN_LIT("sid"), &value);

	MUST(n > 0 || value.n == 0);
	MUST(value.n == 0 || (value.p >= input.p && value.p + value.n <= input.p + input.n));
	MUST(span_find(value, ';') == value.n);
	(void)ui_accepts_gzip(input);
	(void)ui_is_same_tag(input, SPAN_LIT("\"tag\""));
	(void)browser_is_origin_of(input, SPAN_LIT("nomos.example"));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_of((const char *)data, size);

	check_path(input);
	check_query(input);
	check_headers(input);
	return 0;
}
