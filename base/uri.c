/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic URI split (nomos-policy.md 4.2): scheme, authority, path, query, fragment, with the
 * checks that the reference's parser makes and its words for them. Never decodes, never
 * lower-cases, never copies. Stricter in two places: control bytes are refused in the fragment too,
 * and a host never holds %XX but %25 in a zone. Pure; any thread.
 */
#include "base/uri.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/hex.h"
#include "base/utf8.h"

#define QUOTED_MAX 96

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_decimal(char c)
{
	return c >= '0' && c <= '9';
}

/* Whether s starts with a % and two hex digits. */
static bool
is_escape(struct span s)
{
	return s.n >= 3 && s.p[0] == '%' && hex_digit(s.p[1]) >= 0 && hex_digit(s.p[2]) >= 0;
}

/* s in double quotes, made printable and cut, for a message. */
static void
quote(struct span s, char out[QUOTED_MAX])
{
	size_t n = 0;

	out[n++] = '"';
	for (size_t at = 0; at < s.n && n + 12 < QUOTED_MAX;) {
		size_t begin = at;
		uint32_t c = utf8_next(s, &at);
		if (c == '"' || c == '\\')
			n += (size_t)snprintf(out + n, QUOTED_MAX - n, "\\%c", (char)c);
		else if (c == 0xfffd && at == begin + 1)
			n += (size_t)snprintf(
				out + n, QUOTED_MAX - n, "\\x%02x", (unsigned char)s.p[begin]);
		else if (c < 0x20 || (c >= 0x7f && c < 0xa1) || (c >= 0x2000 && c < 0x2070))
			n += (size_t)snprintf(out + n, QUOTED_MAX - n, "\\u%04x", (unsigned)c);
		else
			n += utf8_encode(c, out + n);
	}
	out[n++] = '"';
	out[n] = '\0';
}

static enum err
fail_escape(struct span at, struct errinfo *ei)
{
	char quoted[QUOTED_MAX];

	quote(span_of(at.p, at.n < 3 ? at.n : 3), quoted);
	return ERR(ei, ERR_PARSE, "invalid URL escape %s", quoted);
}

static enum err
check_escapes(struct span s, struct errinfo *ei)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && !is_escape(span_from(s, i)))
			return fail_escape(span_from(s, i), ei);
	}
	return OK;
}

/* Bytes that may stand in a host as they are; anything that is not ASCII may. */
static bool
is_host_byte(char c)
{
	return is_alpha(c) || is_decimal(c) || (unsigned char)c >= 0x80 ||
	       (c != '\0' && strchr("-_.~!$&'()*+,;=:[]<>\"", c) != NULL);
}

/* zone: %25, an encoded blank and encoded host bytes are allowed. */
static enum err
check_host_bytes(struct span s, bool zone, struct errinfo *ei)
{
	char quoted[QUOTED_MAX];

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%') {
			if (!zone || !is_escape(span_from(s, i)))
				return fail_escape(span_from(s, i), ei);
			char c = (char)(hex_digit(s.p[i + 1]) << 4 | hex_digit(s.p[i + 2]));
			if (c != '%' && c != ' ' && !is_host_byte(c))
				return fail_escape(span_from(s, i), ei);
			i += 2;
		} else if (!is_host_byte(s.p[i])) {
			quote(span_of(s.p + i, 1), quoted);
			return ERR(ei, ERR_PARSE, "invalid character %s in host name", quoted);
		}
	}
	return OK;
}

/* Nothing, or a colon and any number of digits. */
static enum err
check_port(struct span s, struct errinfo *ei)
{
	char quoted[QUOTED_MAX];
	bool ok = s.n == 0 || s.p[0] == ':';

	for (size_t i = 1; i < s.n; i++)
		ok = ok && is_decimal(s.p[i]);
	if (ok)
		return OK;
	quote(s, quoted);
	return ERR(ei, ERR_PARSE, "invalid port %s after host", quoted);
}

/* Index of the last byte c, or s.n. */
static size_t
find_last(struct span s, char c)
{
	for (size_t i = s.n; i > 0; i--) {
		if (s.p[i - 1] == c)
			return i - 1;
	}
	return s.n;
}

/* Index of "%25", or s.n. */
static size_t
find_zone(struct span s)
{
	for (size_t i = 0; i + 3 <= s.n; i++) {
		if (memcmp(s.p + i, "%25", 3) == 0)
			return i;
	}
	return s.n;
}

static enum err
check_host(struct span host, struct errinfo *ei)
{
	size_t zone = host.n;
	size_t end = host.n;
	enum err rc;

	if (host.n > 0 && host.p[0] == '[') {
		end = find_last(host, ']');
		if (end == host.n)
			return ERR(ei, ERR_PARSE, "missing ']' in host");
		rc = check_port(span_from(host, end + 1), ei);
		zone = find_zone(span_of(host.p, end));
	} else {
		rc = check_port(span_from(host, find_last(host, ':')), ei);
	}
	if (rc != OK || zone == end)
		return rc == OK ? check_host_bytes(host, false, ei) : rc;
	rc = check_host_bytes(span_of(host.p, zone), false, ei);
	if (rc == OK)
		rc = check_host_bytes(span_of(host.p + zone, end - zone), true, ei);
	return rc == OK ? check_host_bytes(span_from(host, end), false, ei) : rc;
}

static enum err
check_userinfo(struct span s, struct errinfo *ei)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!is_alpha(c) && !is_decimal(c) &&
			(c == '\0' || strchr("-._:~!$&'()*+,;=%@", c) == NULL))
			return ERR(ei, ERR_PARSE, "invalid userinfo");
	}
	return check_escapes(s, ei);
}

static enum err
split_authority(struct span authority, struct uri *u, struct errinfo *ei)
{
	size_t at = find_last(authority, '@');

	u->has_authority = true;
	u->host = authority;
	if (at < authority.n) {
		u->has_userinfo = true;
		u->userinfo = span_of(authority.p, at);
		u->host = span_from(authority, at + 1);
	}
	enum err rc = check_host(u->host, ei);
	return rc == OK && u->has_userinfo ? check_userinfo(u->userinfo, ei) : rc;
}

/* Length of the scheme at the start of s, 0 when it has none; the colon stands behind it. */
static size_t
scheme_length(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == ':')
			return i;
		if (!is_alpha(c) &&
			(i == 0 || (!is_decimal(c) && c != '+' && c != '-' && c != '.')))
			return 0;
	}
	return 0;
}

/* What stands between the scheme's colon and the query. */
static enum err
split_hierarchy(struct span rest, struct uri *u, struct errinfo *ei)
{
	if (!span_starts(rest, SPAN_LIT("/"))) {
		/* "scheme:opaque" has neither authority nor path. */
		if (u->scheme.n > 0)
			return OK;
		if (span_find(span_of(rest.p, span_find(rest, '/')), ':') < span_find(rest, '/'))
			return ERR(ei, ERR_PARSE, "first path segment in URL cannot contain colon");
	} else if (span_starts(rest, SPAN_LIT("//")) &&
		   (u->scheme.n > 0 || !span_starts(rest, SPAN_LIT("///")))) {
		struct span authority = span_from(rest, 2);
		size_t end = span_find(authority, '/');
		enum err rc = split_authority(span_of(authority.p, end), u, ei);
		if (rc != OK)
			return rc;
		rest = span_from(authority, end);
	}
	u->path = rest;
	return check_escapes(rest, ei);
}

static enum err
split(struct span text, struct uri *u, struct errinfo *ei)
{
	struct span rest = text;

	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return ERR(ei, ERR_PARSE, "invalid control character in URL");
	}
	size_t hash = span_find(rest, '#');
	if (hash < rest.n) {
		u->has_fragment = true;
		u->fragment = span_from(rest, hash + 1);
		rest.n = hash;
	}
	if (span_starts(rest, SPAN_LIT(":")))
		return ERR(ei, ERR_PARSE, "missing protocol scheme");
	size_t n = scheme_length(rest);
	if (n > 0) {
		u->scheme = span_of(rest.p, n);
		rest = span_from(rest, n + 1);
	}
	size_t mark = span_find(rest, '?');
	if (mark < rest.n) {
		u->has_query = true;
		u->query = span_from(rest, mark + 1);
		rest.n = mark;
	}
	enum err rc = split_hierarchy(rest, u, ei);
	return rc == OK ? check_escapes(u->fragment, ei) : rc;
}

enum err
uri_parse(struct span text, struct uri *out, struct errinfo *ei)
{
	struct uri u = {.has_authority = false};
	enum err rc = split(text, &u, ei);

	*out = rc == OK ? u : (struct uri){.has_authority = false};
	return rc;
}

void
uri_decode(struct buf *b, struct span s)
{
	while (s.n > 0) {
		size_t run = span_find(s, '%');
		buf_add(b, s.p, run);
		s = span_from(s, run);
		if (is_escape(s)) {
			buf_add_char(b, (char)(hex_digit(s.p[1]) * 16 + hex_digit(s.p[2])));
			s = span_from(s, 3);
		} else if (s.n > 0) {
			buf_add_char(b, '%');
			s = span_from(s, 1);
		}
	}
}
