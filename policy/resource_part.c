/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Host and path rules of resources. Percent escapes are decoded once, here, and never again: what comes out is text, not a
 * URI. It must never let through a dot segment, an encoded separator, a control byte or invalid UTF-8. Any thread.
 */
#include "resource_part.h"

#include "base/buf.h"
#include "base/uri.h"
#include "base/utf8.h"

static enum err
full(struct errinfo *ei)
{
	return ERR(ei, ERR_TOO_LARGE, "resource needs too much memory");
}

/* Whether a separator hides in the path: %2f, %5c in any case, or a backslash that no rule has turned into a slash. */
static bool
has_encoded_separator(struct span escaped)
{
	for (size_t i = 0; i < escaped.n; i++) {
		if (escaped.p[i] == '\\')
			return true;
		if (escaped.p[i] != '%' || escaped.n - i < 3)
			continue;
		char high = escaped.p[i + 1];
		char low = (char)(escaped.p[i + 2] | 0x20);
		if ((high == '2' && low == 'f') || (high == '5' && low == 'c'))
			return true;
	}
	return false;
}

static bool
has_dot_segment(struct span path)
{
	while (path.n > 0) {
		size_t end = span_find(path, '/');
		struct span segment = span_of(path.p, end);
		if (span_eq(segment, SPAN_LIT(".")) || span_eq(segment, SPAN_LIT("..")))
			return true;
		path = span_from(path, end < path.n ? end + 1 : end);
	}
	return false;
}

static bool
has_control_byte(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c == 0x7f)
			return true;
	}
	return false;
}

/* Decoded bytes that no file name, log line or reviewer can be trusted to show: refused, a difference to the reference. */
static enum err
check_bytes(struct span decoded, const char *kind, struct errinfo *ei)
{
	if (has_control_byte(decoded))
		return ERR(ei, ERR_NORMALIZE, "%s path control characters are not allowed", kind);
	if (!utf8_is_valid(decoded))
		return ERR(ei, ERR_NORMALIZE, "%s path is not valid UTF-8", kind);
	return OK;
}

/* Collapses runs of '/' in place and drops a trailing one but for the root. The new length. */
static size_t
clean_slashes(char *path, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++) {
		if (path[i] == '/' && to > 0 && path[to - 1] == '/')
			continue;
		path[to++] = path[i];
	}
	return to > 1 && path[to - 1] == '/' ? to - 1 : to;
}

enum err
resource_add_path(
	struct span escaped, const struct path_words *words, struct buf *out, struct errinfo *ei)
{
	if (escaped.n == 0 && words->missing != NULL)
		return ERR(ei, ERR_NORMALIZE, "%s", words->missing);
	if (has_encoded_separator(escaped))
		return ERR(ei, ERR_NORMALIZE, "%s path encoded separators are not allowed",
			words->kind);
	size_t start = out->n;
	if (escaped.n == 0)
		buf_add_char(out, '/');
	uri_decode(out, escaped);
	if (buf_failed(out))
		return full(ei);
	struct span decoded = span_from(buf_span(out), start);
	if (has_dot_segment(decoded))
		return ERR(ei, ERR_NORMALIZE, "%s", words->traversal);
	enum err rc = check_bytes(decoded, words->kind, ei);
	if (rc != OK)
		return rc;
	out->n = start + clean_slashes(out->p + start, decoded.n);
	out->p[out->n] = '\0';
	return OK;
}

enum err
resource_add_name(
	struct span escaped, const char *kind, struct arena *a, struct buf *out, struct errinfo *ei)
{
	struct buf decoded;

	buf_init_arena(&decoded, a, escaped.n + 1);
	uri_decode(&decoded, escaped);
	if (buf_failed(&decoded))
		return full(ei);
	struct span path = buf_span(&decoded);
	if (path.n < 2 || path.p[0] != '/' || span_find(span_from(path, 1), '/') < path.n - 1)
		return ERR(ei, ERR_NORMALIZE, "%s path must be single segment", kind);
	enum err rc = check_bytes(path, kind, ei);
	if (rc != OK)
		return rc;
	utf8_lower(out, path);
	return buf_failed(out) ? full(ei) : OK;
}

/* Splits host[:port]; false when it is neither that nor a bracketed address. */
static bool
split_port(struct span host, struct span *name, struct span *port)
{
	size_t end = 0;

	if (host.p[0] == '[') {
		for (size_t i = 0; i < host.n; i++) {
			if (host.p[i] == ']')
				end = i + 1;
		}
		if (end == 0)
			return false;
	} else {
		end = span_find(host, ':');
	}
	*name = span_of(host.p, end);
	*port = SPAN_NONE;
	if (end == host.n)
		return true;
	*port = span_from(host, end + 1);
	return host.p[end] == ':' && span_find(*port, ':') == port->n;
}

enum err
resource_add_host(struct span host, struct buf *out, struct errinfo *ei)
{
	struct span name;
	struct span port;

	host = span_trim(host);
	if (host.n == 0)
		return ERR(ei, ERR_NORMALIZE, "url host is required");
	if (span_find(host, '%') < host.n || !split_port(host, &name, &port))
		return ERR(ei, ERR_NORMALIZE, "invalid url host");
	/* A bare port names no host. A blank before the port would be trimmed by a second reading. */
	if (name.n == 0)
		return ERR(ei, ERR_NORMALIZE, "url host is required");
	if (span_trim(name).n != name.n)
		return ERR(ei, ERR_NORMALIZE, "invalid url host");
	utf8_lower(out, name);
	if (port.n > 0 && !span_eq(port, SPAN_LIT("80")) && !span_eq(port, SPAN_LIT("443"))) {
		buf_add_char(out, ':');
		buf_add_span(out, port);
	}
	return buf_failed(out) ? full(ei) : OK;
}
