/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Matching and strict decoding of one path segment; what is not exactly the form is refused, never repaired. Pure. */
#include "route_match.h"

#include "base/hex.h"
#include "base/utf8.h"

#define MARK SPAN_LIT("{id}")

/* Where the mark begins; route.n when there is none. */
static size_t
find_mark(struct span route)
{
	size_t at = span_find(route, '{');

	return at < route.n && span_starts(span_from(route, at), MARK) ? at : route.n;
}

bool
route_has_id(struct span route)
{
	return find_mark(route) < route.n;
}

bool
route_match(struct span route, struct span path, struct span *raw_id)
{
	size_t at = find_mark(route);

	*raw_id = SPAN_NONE;
	if (at == route.n)
		return span_eq(route, path);
	struct span before = span_of(route.p, at);
	struct span behind = span_from(route, at + MARK.n);
	if (path.n <= before.n + behind.n || !span_starts(path, before) || !span_ends(path, behind))
		return false;
	struct span segment = span_of(path.p + before.n, path.n - before.n - behind.n);
	if (span_find(segment, '/') < segment.n)
		return false;
	*raw_id = segment;
	return true;
}

static bool
is_plain(char c)
{
	unsigned char byte = (unsigned char)c;

	return byte >= 0x20 && byte != 0x7f && c != '/' && c != '\\' && c != '%';
}

bool
route_decode_id(struct span raw_id, char out[ROUTE_ID_BYTES_MAX], struct span *id)
{
	size_t n = 0;

	*id = SPAN_NONE;
	for (size_t i = 0; i < raw_id.n; i++, n++) {
		char c = raw_id.p[i];
		if (c == '%') {
			if (raw_id.n - i < 3)
				return false;
			int high = hex_digit(raw_id.p[i + 1]);
			int low = hex_digit(raw_id.p[i + 2]);
			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!is_plain(c) || n == ROUTE_ID_BYTES_MAX)
			return false;
		out[n] = c;
	}
	struct span decoded = span_of(out, n);
	if (n == 0 || span_eq_cstr(decoded, ".") || span_eq_cstr(decoded, "..") ||
		!utf8_is_valid(decoded))
		return false;
	*id = decoded;
	return true;
}
