/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The grammar, rule by rule; a rule that takes input returns whether it matched and moves on. */
#include "reference_http.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define OUR_FIELDS_MAX 16 /* field lines that begin with X-Nomos- */
#define CHUNK_DIGITS_MAX 7

struct cursor {
	const char *p;
	const char *end;
};

static bool
at_end(const struct cursor *c)
{
	return c->p == c->end;
}

static struct cursor
cursor_of(struct span s)
{
	return (struct cursor){s.p, s.p + s.n};
}

static bool
is_in(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

#define DIGIT "0123456789"
#define HEXDIG DIGIT "abcdefABCDEF"
#define ALPHA "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
/* RFC 9110 5.6.2 */
#define TCHAR ALPHA DIGIT "!#$%&'*+-.^_`|~"
/* RFC 3986 3.3, without pct-encoded */
#define PCHAR                                                                                      \
	ALPHA DIGIT "-._~"                                                                         \
		    "!$&'()*+,;="                                                                  \
		    ":@"
/* reg-name as far as we take it */
#define REGNAME ALPHA DIGIT "-._"

/* *( one of set ) */
static struct span
take_all(struct cursor *c, const char *set)
{
	const char *from = c->p;

	while (!at_end(c) && is_in(*c->p, set))
		c->p++;
	return span_of(from, (size_t)(c->p - from));
}

static bool
take(struct cursor *c, char byte)
{
	if (at_end(c) || *c->p != byte)
		return false;
	c->p++;
	return true;
}

/* pchar */
static bool
take_pchar(struct cursor *c)
{
	if (at_end(c))
		return false;
	if (*c->p == '%') {
		if (c->end - c->p < 3 || !is_in(c->p[1], HEXDIG) || !is_in(c->p[2], HEXDIG))
			return false;
		c->p += 3;
		return true;
	}
	if (!is_in(*c->p, PCHAR))
		return false;
	c->p++;
	return true;
}

/* absolute-path of RFC 9110 4.1, but not one that begins with "//" */
static bool
take_absolute_path(struct cursor *c)
{
	if (!take(c, '/'))
		return false;
	if (!at_end(c) && *c->p == '/')
		return false;
	while (take_pchar(c) || take(c, '/'))
		continue;
	return true;
}

/* [ "?" query ] up to the end */
static bool
take_query(struct cursor *c, struct reference_request *out)
{
	if (at_end(c))
		return true;
	if (!take(c, '?'))
		return false;
	const char *from = c->p;
	while (take_pchar(c) || take(c, '/') || take(c, '?'))
		continue;
	out->has_query = true;
	out->query = span_of(from, (size_t)(c->p - from));
	return at_end(c);
}

/* port without useless zeros, at most 65535 */
static bool
take_port(struct cursor *c)
{
	struct span digits = take_all(c, DIGIT);
	unsigned long port = 0;

	if (digits.n == 0 || digits.n > 5 || (digits.n > 1 && digits.p[0] == '0'))
		return false;
	for (size_t i = 0; i < digits.n; i++)
		port = port * 10 + (unsigned long)(digits.p[i] - '0');
	return port <= 65535;
}

/* uri-host [ ":" port ] */
static bool
take_host(struct cursor *c)
{
	if (take(c, '[')) {
		if (take_all(c, HEXDIG ":.").n < 2 || !take(c, ']'))
			return false;
	} else if (take_all(c, REGNAME).n == 0) {
		return false;
	}
	return !take(c, ':') || take_port(c);
}

static bool
is_host(struct span s)
{
	struct cursor c = cursor_of(s);

	return take_host(&c) && at_end(&c);
}

static bool
is_same(struct span a, const char *b)
{
	return a.n == strlen(b) && (a.n == 0 || strncasecmp(a.p, b, a.n) == 0);
}

static bool
is_same_span(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

/* Its one value, or the empty span. */
static struct span
find_field(const struct reference_request *r, const char *name, size_t *count)
{
	struct span value = SPAN_NONE;

	*count = 0;
	for (size_t i = 0; i < r->n_fields; i++) {
		if (is_same(r->fields[i].name, name)) {
			value = r->fields[i].value;
			++*count;
		}
	}
	return value;
}

/* absolute-form of http and https, for the host of the Host field if there is one */
static bool
is_absolute_form(struct reference_request *out)
{
	size_t n_hosts = 0;
	struct span host = find_field(out, "host", &n_hosts);
	struct cursor c = cursor_of(out->target);
	struct span scheme = take_all(&c, ALPHA);

	if (!is_same(scheme, "http") && !is_same(scheme, "https"))
		return false;
	if (!take(&c, ':') || !take(&c, '/') || !take(&c, '/'))
		return false;
	const char *from = c.p;
	if (!take_host(&c))
		return false;
	struct span authority = span_of(from, (size_t)(c.p - from));
	if (n_hosts == 1 && !is_same_span(authority, host))
		return false;
	from = c.p;
	out->path = SPAN_LIT("/");
	if (!at_end(&c) && *c.p == '/') {
		if (!take_absolute_path(&c))
			return false;
		out->path = span_of(from, (size_t)(c.p - from));
	}
	return take_query(&c, out);
}

/* RFC 9112 3.2; authority-form belongs to CONNECT, which is not ours */
static bool
is_target(struct reference_request *out)
{
	struct cursor c = cursor_of(out->target);

	if (span_eq_cstr(out->target, "*")) {
		out->path = out->target;
		return span_eq_cstr(out->method, "OPTIONS");
	}
	if (*c.p != '/')
		return is_absolute_form(out);
	if (!take_absolute_path(&c))
		return false;
	out->path = span_of(out->target.p, (size_t)(c.p - out->target.p));
	return take_query(&c, out);
}

static bool
is_known_method(struct span method)
{
	static const char *const methods[] = {
		"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"};

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (span_eq_cstr(method, methods[i]))
			return true;
	}
	return false;
}

/* method SP request-target SP HTTP-version; the status of the fault, or 0 */
static unsigned
read_request_line(struct span line, struct reference_request *out)
{
	struct cursor c = cursor_of(line);

	out->method = take_all(&c, TCHAR);
	if (out->method.n == 0 || !take(&c, ' '))
		return 400;
	const char *from = c.p;
	while (!at_end(&c) && *c.p != ' ')
		c.p++;
	out->target = span_of(from, (size_t)(c.p - from));
	if (out->target.n == 0 || !take(&c, ' '))
		return 400;
	struct span version = span_of(c.p, (size_t)(c.end - c.p));
	if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || !is_in(version.p[5], DIGIT) ||
		version.p[6] != '.' || !is_in(version.p[7], DIGIT))
		return 400;
	out->is_http10 = span_eq_cstr(version, "HTTP/1.0");
	if (!out->is_http10 && !span_eq_cstr(version, "HTTP/1.1"))
		return 505;
	return is_known_method(out->method) ? 0 : 501;
}

/* OWS field-value OWS, where the legality of the bytes is already known */
static struct span
strip_blanks(struct span s)
{
	while (s.n > 0 && is_in(s.p[0], " \t"))
		s = span_from(s, 1);
	while (s.n > 0 && is_in(s.p[s.n - 1], " \t"))
		s.n--;
	return s;
}

/* Fields that another reader could pick a different one of. */
static bool
is_singleton(struct span name)
{
	static const char *const names[] = {"host", "content-length", "transfer-encoding", "expect",
		"authorization", "content-type", "idempotency-key"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (is_same(name, names[i]))
			return true;
	}
	return false;
}

static bool
is_ours(struct span name)
{
	return name.n > 8 && strncasecmp(name.p, "x-nomos-", 8) == 0;
}

/* Whether one more field of this name may come. */
static unsigned
check_repeats(const struct reference_request *r, struct span name)
{
	size_t n_ours = 0;

	for (size_t i = 0; i < r->n_fields; i++) {
		n_ours += is_ours(r->fields[i].name) ? 1 : 0;
		if ((is_singleton(name) || is_ours(name)) && is_same_span(r->fields[i].name, name))
			return 400;
	}
	return is_ours(name) && n_ours == OUR_FIELDS_MAX ? 431 : 0;
}

/* What one field may say by itself. */
static unsigned
check_value(const struct reference_request *r, struct reference_field f)
{
	if (is_same(f.name, "host"))
		return is_host(f.value) ? 0 : 400;
	if (is_same(f.name, "content-length")) {
		struct cursor c = cursor_of(f.value);
		struct span digits = take_all(&c, DIGIT);
		bool has_zeros = digits.n > 1 && digits.p[0] == '0';
		return digits.n > 0 && at_end(&c) && !has_zeros ? 0 : 400;
	}
	if (is_same(f.name, "transfer-encoding"))
		return is_same(f.value, "chunked") && !r->is_http10 ? 0 : 400;
	if (is_same(f.name, "expect"))
		return is_same(f.value, "100-continue") ? 0 : 417;
	return 0;
}

/* Ours: the fields that decide where a request ends or goes have OWS of spaces alone. */
static bool
is_without_tabs(struct span name)
{
	return is_same(name, "host") || is_same(name, "content-length") ||
	       is_same(name, "transfer-encoding");
}

/* field-name ":" OWS field-value OWS */
static unsigned
read_field_line(struct span line, struct reference_request *out)
{
	struct cursor c = cursor_of(line);
	struct reference_field f = {.name = take_all(&c, TCHAR)};

	if (f.name.n == 0 || !take(&c, ':'))
		return 400;
	struct span raw = span_of(c.p, (size_t)(c.end - c.p));
	f.value = strip_blanks(raw);
	unsigned status = check_repeats(out, f.name);
	if (status == 0)
		status = check_value(out, f);
	if (status == 0 && is_without_tabs(f.name) && raw.n > 0 &&
		memchr(raw.p, '\t', raw.n) != NULL)
		status = 400;
	out->fields[out->n_fields] = f;
	out->n_fields++;
	return status;
}

/* Whether a Connection field has the option. */
static bool
has_option(const struct reference_request *r, const char *option)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		struct span list = r->fields[i].value;
		while (is_same(r->fields[i].name, "connection") && list.n > 0) {
			size_t n = 0;
			while (n < list.n && list.p[n] != ',')
				n++;
			if (is_same(strip_blanks(span_of(list.p, n)), option))
				return true;
			list = span_from(list, n < list.n ? n + 1 : n);
		}
	}
	return false;
}

/* SIZE_MAX for anything that is not worth counting. */
static size_t
read_number(struct span digits)
{
	size_t n = 0;

	if (digits.n > 15)
		return SIZE_MAX;
	for (size_t i = 0; i < digits.n; i++)
		n = n * 10 + (size_t)(digits.p[i] - '0');
	return n;
}

/* RFC 9112 6.3 for requests */
static unsigned
check_message(struct reference_request *r, size_t *length)
{
	size_t n_hosts = 0;
	size_t n_lengths = 0;
	size_t n_codings = 0;
	size_t n_expects = 0;
	struct span digits = find_field(r, "content-length", &n_lengths);

	find_field(r, "host", &n_hosts);
	find_field(r, "transfer-encoding", &n_codings);
	find_field(r, "expect", &n_expects);
	if (n_lengths + n_codings > 1)
		return 400;
	if (n_hosts == 0 && !r->is_http10)
		return 400;
	if (!is_target(r))
		return 400;
	r->is_chunked = n_codings == 1;
	r->is_continue = n_expects == 1 && !r->is_http10;
	r->is_close = has_option(r, "close") || (r->is_http10 && !has_option(r, "keep-alive"));
	*length = read_number(digits);
	return 0;
}

/* What the bytes of a head are worth one by one. */
struct head_bytes {
	enum reference_verdict verdict; /* REFERENCE_REQUEST: the empty line is there */
	unsigned status;
	size_t n; /* with the empty line */
};

/* The line that begins at s. Its byte i stands at offset `before` + i of the head. */
static struct head_bytes
measure_line(struct span s, size_t before, size_t limit)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool is_behind_cr = i > 0 && s.p[i - 1] == '\r';
		if (before + i >= limit)
			return (struct head_bytes){REFERENCE_REFUSED, 431, 0};
		if (is_behind_cr && c == '\n')
			return (struct head_bytes){REFERENCE_REQUEST, 0, i + 1};
		if (is_behind_cr || c == 127 || (c < 32 && c != '\r' && c != '\t'))
			return (struct head_bytes){REFERENCE_REFUSED, 400, 0};
	}
	return (struct head_bytes){REFERENCE_INCOMPLETE, 0, s.n};
}

static void
refuse(struct reference_request *out, unsigned status)
{
	out->verdict = REFERENCE_REFUSED;
	out->status = status;
}

/* The request line at `at` of the input; the place behind it, 0 when there is none. */
static size_t
read_first_line(struct span in, size_t at, const struct reference_limits *limits,
	struct reference_request *out)
{
	size_t limit =
		limits->line_bytes < limits->head_bytes ? limits->line_bytes : limits->head_bytes;
	struct head_bytes line = measure_line(span_from(in, at), 0, limit);

	if (line.verdict != REFERENCE_REQUEST) {
		out->verdict = line.verdict;
		out->status = line.status;
		return 0;
	}
	unsigned status = read_request_line(span_of(in.p + at, line.n - 2), out);
	if (status != 0) {
		refuse(out, status);
		return 0;
	}
	return at + line.n;
}

/* The place behind the empty line, 0 when the head is not whole or not good; head_at is where the head
 * begins and `at` where its field lines do. */
static size_t
measure_fields(struct span in, size_t head_at, size_t at, const struct reference_limits *limits,
	struct reference_request *out)
{
	for (size_t n_lines = 0;; n_lines++) {
		struct head_bytes line =
			measure_line(span_from(in, at), at - head_at, limits->head_bytes);
		out->verdict = line.verdict;
		out->status = line.status;
		if (line.verdict != REFERENCE_REQUEST)
			return 0;
		at += line.n;
		if (line.n == 2)
			return at;
		if (n_lines == limits->fields) {
			refuse(out, 431);
			return 0;
		}
	}
}

/* All field lines, without the empty one. */
static unsigned
read_fields(struct span lines, struct reference_request *out)
{
	while (lines.n > 0) {
		size_t n = 0;
		while (lines.p[n] != '\r')
			n++;
		unsigned status = read_field_line(span_of(lines.p, n), out);
		if (status != 0)
			return status;
		lines = span_from(lines, n + 2);
	}
	return 0;
}

/* Says that the input ended if the byte is not there. */
static bool
need(struct cursor *c, char byte, struct reference_request *out)
{
	if (take(c, byte))
		return true;
	out->verdict = at_end(c) ? REFERENCE_INCOMPLETE : REFERENCE_REFUSED;
	out->status = at_end(c) ? 0 : 400;
	return false;
}

/* chunk-size CRLF; the size, or SIZE_MAX with the fault noted */
static size_t
take_chunk_size(struct cursor *c, size_t room, struct reference_request *out)
{
	struct span digits = take_all(c, HEXDIG);
	size_t size = 0;

	if (digits.n > CHUNK_DIGITS_MAX) {
		refuse(out, 413);
		return SIZE_MAX;
	}
	if (digits.n == 0 && !at_end(c)) {
		refuse(out, 400);
		return SIZE_MAX;
	}
	for (size_t i = 0; i < digits.n; i++)
		size = size * 16 + (size_t)(strchr("0123456789abcdef", digits.p[i] | 0x20) -
					    "0123456789abcdef");
	if (!need(c, '\r', out))
		return SIZE_MAX;
	if (size > room) {
		refuse(out, 413);
		return SIZE_MAX;
	}
	return need(c, '\n', out) ? size : SIZE_MAX;
}

/* Into the body; false when the input ends before. */
static bool
take_octets(struct cursor *c, size_t n, struct reference_request *out)
{
	size_t there = (size_t)(c->end - c->p);
	size_t taken = n < there ? n : there;

	if (taken > 0)
		memcpy(out->body + out->n_body, c->p, taken);
	out->n_body += taken;
	c->p += taken;
	if (taken < n)
		out->verdict = REFERENCE_INCOMPLETE;
	return taken == n;
}

/* *chunk last-chunk CRLF (RFC 9112 7.1), no extensions, no trailer */
static bool
take_chunked_body(struct cursor *c, size_t max, struct reference_request *out)
{
	for (;;) {
		size_t size = take_chunk_size(c, max - out->n_body, out);
		if (size == SIZE_MAX)
			return false;
		if (!take_octets(c, size, out) || !need(c, '\r', out) || !need(c, '\n', out))
			return false;
		if (size == 0)
			return true;
	}
}

void
reference_http_read(
	struct span in, const struct reference_limits *limits, struct reference_request *out)
{
	size_t length = 0;

	*out = (struct reference_request){.verdict = REFERENCE_INCOMPLETE};
	if (in.n == 0)
		return;
	/* RFC 9112 2.2: an empty line before the request line, one. */
	size_t head_at = in.n >= 2 && in.p[0] == '\r' && in.p[1] == '\n' ? 2 : 0;
	size_t at = read_first_line(in, head_at, limits, out);
	if (at == 0)
		return;
	size_t body_at = measure_fields(in, head_at, at, limits, out);
	if (body_at == 0)
		return;
	unsigned status = read_fields(span_of(in.p + at, body_at - 2 - at), out);
	if (status == 0)
		status = check_message(out, &length);
	if (status == 0 && length > limits->body_bytes)
		status = 413;
	if (status != 0) {
		refuse(out, status);
		return;
	}
	out->is_head_good = true;
	struct cursor c = cursor_of(span_from(in, body_at));
	bool is_whole = out->is_chunked ? take_chunked_body(&c, limits->body_bytes, out)
					: take_octets(&c, length, out);
	if (!is_whole)
		return;
	out->verdict = REFERENCE_REQUEST;
	out->end = (size_t)(c.p - in.p);
}
