/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the request line and the header lines of RFC 9112 3 and 5 and decides how long the body
 * is (6.3). Must never accept two readings of one head: what another server could take
 * differently is refused. Pure but for the table of headers; runs on the thread of its
 * connection.
 */
#include "framing_head.h"

#include "base/hex.h"
#include "base/mem.h"
#include "base/parse.h"

/* A larger Content-Length than any limit; also keeps the arithmetic away from its ends. */
#define LENGTH_DIGITS_MAX 15
/* Lines named X-Nomos-*: each new one is compared with all before it. */
#define OURS_MAX 16

/* Header lines that must not be repeated: one bit each. */
enum single {
	SINGLE_HOST = 1 << 0,
	SINGLE_LENGTH = 1 << 1,
	SINGLE_ENCODING = 1 << 2,
	SINGLE_EXPECT = 1 << 3,
	SINGLE_AUTHORIZATION = 1 << 4,
	SINGLE_TYPE = 1 << 5,
	SINGLE_KEY = 1 << 6,
	SINGLE_OURS = 1 << 7, /* X-Nomos-*: each name once */
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Whether c may stand in a path or query besides % (RFC 3986 pchar, '/' and '?'). */
static bool
is_target_char(char c)
{
	return is_alnum(c) || (c != '\0' && memchr("-._~!$&'()*+,;=:@/?", c, 19) != NULL);
}

static bool
is_target_text(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%') {
			if (s.n - i < 3 || hex_digit(s.p[i + 1]) < 0 || hex_digit(s.p[i + 2]) < 0)
				return false;
		} else if (!is_target_char(s.p[i])) {
			return false;
		}
	}
	return true;
}

static enum gate_refusal
read_version(struct framing *f, struct span s)
{
	if (span_eq(s, SPAN_LIT("HTTP/1.1")))
		return GATE_OK;
	f->is_http10 = span_eq(s, SPAN_LIT("HTTP/1.0"));
	if (f->is_http10)
		return GATE_OK;
	bool has_form = s.n == 8 && span_starts(s, SPAN_LIT("HTTP/")) && is_digit(s.p[5]) &&
			s.p[6] == '.' && is_digit(s.p[7]);
	return has_form ? GATE_VERSION : GATE_REQUEST_LINE;
}

enum gate_refusal
framing_read_line(struct framing *f, struct span line)
{
	size_t method_n = span_find(line, ' ');
	struct span method = span_of(line.p, method_n);

	if (method_n == line.n || !http_is_token(method))
		return GATE_REQUEST_LINE;
	struct span rest = span_from(line, method_n + 1);
	size_t target_n = span_find(rest, ' ');
	if (target_n == rest.n || target_n == 0)
		return GATE_REQUEST_LINE;
	enum gate_refusal why = read_version(f, span_from(rest, target_n + 1));
	if (why != GATE_OK)
		return why;
	f->method = http_method_parse(method);
	if (f->method == HTTP_METHOD_UNKNOWN)
		return GATE_METHOD;
	f->target_at = (size_t)(rest.p - f->head.p);
	f->target_n = target_n;
	return GATE_OK;
}

/* host [":" port] as in Host and in an absolute target; letters, digits and -._ or a bracketed
 * address. */
static bool
is_authority(struct span s)
{
	size_t i = 0;

	if (s.n > 0 && s.p[0] == '[') {
		for (i = 1; i < s.n && (hex_digit(s.p[i]) >= 0 || s.p[i] == ':' || s.p[i] == '.');
			i++)
			continue;
		if (i < 3 || i == s.n || s.p[i] != ']')
			return false;
		i++;
	} else {
		while (i < s.n && (is_alnum(s.p[i]) || memchr("-._", s.p[i], 3) != NULL))
			i++;
		if (i == 0)
			return false;
	}
	if (i == s.n)
		return true;
	uint64_t port = 0;
	return s.p[i] == ':' && parse_uint(span_from(s, i + 1), 65535, &port);
}

/* Splits a target that begins with its path at the first '?'. */
static void
split_query(struct framing *f, struct span target)
{
	size_t n = span_find(target, '?');

	f->path = n > 0 ? span_of(target.p, n) : SPAN_LIT("/");
	f->has_query = n < target.n;
	if (f->has_query)
		f->query = span_from(target, n + 1);
}

/* http://authority[/path][?query], whose authority has to be the Host line's. */
static enum gate_refusal
read_absolute(struct framing *f)
{
	struct span rest;

	if (f->target.n >= 7 && span_eq_nocase(span_of(f->target.p, 7), SPAN_LIT("http://")))
		rest = span_from(f->target, 7);
	else if (f->target.n >= 8 && span_eq_nocase(span_of(f->target.p, 8), SPAN_LIT("https://")))
		rest = span_from(f->target, 8);
	else
		return GATE_TARGET;
	size_t n = 0;
	while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
		n++;
	struct span authority = span_of(rest.p, n);
	if (!is_authority(authority))
		return GATE_TARGET;
	if (f->host.n > 0 && !span_eq_nocase(authority, f->host))
		return GATE_AUTHORITY;
	struct span path = span_from(rest, n);
	if (!is_target_text(path) || span_starts(path, SPAN_LIT("//")))
		return GATE_TARGET;
	split_query(f, path);
	return GATE_OK;
}

static enum gate_refusal
read_target(struct framing *f)
{
	f->target = span_of(f->head.p + f->target_at, f->target_n);
	if (span_eq(f->target, SPAN_LIT("*"))) {
		f->path = f->target;
		return f->method == HTTP_METHOD_OPTIONS ? GATE_OK : GATE_TARGET;
	}
	if (f->target.p[0] != '/')
		return read_absolute(f);
	if (!is_target_text(f->target) || span_starts(f->target, SPAN_LIT("//")))
		return GATE_TARGET;
	split_query(f, f->target);
	return GATE_OK;
}

static struct span
trim_blanks(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = span_from(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static enum gate_refusal
read_length(struct framing *f, struct span value)
{
	uint64_t length = 0;

	f->has_length = true;
	for (size_t i = 0; i < value.n; i++) {
		if (!is_digit(value.p[i]))
			return GATE_CONTENT_LENGTH;
	}
	/* Over every limit; said when the rest of the head is known to be good. */
	if (value.n > LENGTH_DIGITS_MAX && value.p[0] != '0')
		length = UINT64_MAX;
	else if (!parse_uint(value, UINT64_MAX, &length))
		return GATE_CONTENT_LENGTH;
	f->length = length;
	return GATE_OK;
}

/* The options of a Connection line (RFC 9110 7.6.1); those we do not know are ignored. */
static void
read_connection(struct span value, bool *is_close, bool *is_keep)
{
	while (value.n > 0) {
		size_t n = span_find(value, ',');
		struct span option = trim_blanks(span_of(value.p, n));
		*is_close = *is_close || span_eq_nocase(option, SPAN_LIT("close"));
		*is_keep = *is_keep || span_eq_nocase(option, SPAN_LIT("keep-alive"));
		value = span_from(value, n < value.n ? n + 1 : n);
	}
}

/* Which of the single headers this is; 0: none. */
static unsigned
find_single(struct span name)
{
	static const struct {
		struct span name;
		unsigned bit;
	} singles[] = {
		{{"Host", 4}, SINGLE_HOST},
		{{"Content-Length", 14}, SINGLE_LENGTH},
		{{"Transfer-Encoding", 17}, SINGLE_ENCODING},
		{{"Expect", 6}, SINGLE_EXPECT},
		{{"Authorization", 13}, SINGLE_AUTHORIZATION},
		{{"Content-Type", 12}, SINGLE_TYPE},
		{{"Idempotency-Key", 15}, SINGLE_KEY},
	};

	for (size_t i = 0; i < ARRAY_LEN(singles); i++) {
		if (name.n == singles[i].name.n && span_eq_nocase(name, singles[i].name))
			return singles[i].bit;
	}
	if (name.n > 8 && span_eq_nocase(span_of(name.p, 8), SPAN_LIT("X-Nomos-")))
		return SINGLE_OURS;
	return 0;
}

static bool
is_repeated(const struct framing *f, struct span name)
{
	for (size_t i = 0; i < f->n_headers; i++) {
		if (span_eq_nocase(f->headers[i].name, name))
			return true;
	}
	return false;
}

/* What the head says as a whole while its lines are read. */
struct head_facts {
	unsigned seen; /* of enum single */
	unsigned n_ours;
	bool is_close;
	bool is_keep;
};

/* The effect of one header on the framing. */
static enum gate_refusal
apply_header(struct framing *f, struct http_header h, struct head_facts *facts)
{
	unsigned bit = find_single(h.name);

	if (bit == SINGLE_OURS ? is_repeated(f, h.name) : (facts->seen & bit) != 0)
		return GATE_HEADER_REPEATED;
	if (bit == SINGLE_OURS && facts->n_ours == OURS_MAX)
		return GATE_HEADERS_COUNT;
	facts->n_ours += bit == SINGLE_OURS ? 1 : 0;
	facts->seen |= bit;
	if (bit == SINGLE_LENGTH)
		return read_length(f, h.value);
	if (bit == SINGLE_HOST) {
		f->host = h.value;
		return is_authority(h.value) ? GATE_OK : GATE_HOST;
	}
	if (bit == SINGLE_ENCODING) {
		f->is_chunked = span_eq_nocase(h.value, SPAN_LIT("chunked")) && !f->is_http10;
		return f->is_chunked ? GATE_OK : GATE_TRANSFER_ENCODING;
	}
	if (bit == SINGLE_EXPECT) {
		f->wants_continue = span_eq_nocase(h.value, SPAN_LIT("100-continue"));
		return f->wants_continue ? GATE_OK : GATE_EXPECT;
	}
	if (h.name.n == 10 && span_eq_nocase(h.name, SPAN_LIT("Connection")))
		read_connection(h.value, &facts->is_close, &facts->is_keep);
	return GATE_OK;
}

/* Legal as a blank before and behind a value, but not every server strips a TAB; who does not sees
 * another length, coding or host. */
static bool
is_of_framing(struct span name)
{
	return (find_single(name) & (SINGLE_HOST | SINGLE_LENGTH | SINGLE_ENCODING)) != 0;
}

/* One header line without its CRLF. */
static enum gate_refusal
read_header(struct framing *f, struct span line, struct head_facts *facts)
{
	if (line.p[0] == ' ' || line.p[0] == '\t')
		return GATE_HEADER_FOLD;
	size_t n = span_find(line, ':');
	struct http_header h = {.name = span_of(line.p, n)};
	if (n == line.n || !http_is_token(h.name))
		return GATE_HEADER_NAME;
	struct span raw = span_from(line, n + 1);
	h.value = trim_blanks(raw);
	enum gate_refusal why = apply_header(f, h, facts);
	if (why == GATE_OK && is_of_framing(h.name) && span_find(raw, '\t') < raw.n)
		why = GATE_HEADER_VALUE;
	f->headers[f->n_headers] = h;
	f->n_headers++;
	return why;
}

static bool
make_room(struct framing *f)
{
	if (f->n_lines <= f->headers_size)
		return true;
	struct http_header *p = mem_realloc(f->headers, f->n_lines * sizeof(*p));
	if (p == NULL)
		return false;
	f->headers = p;
	f->headers_size = f->n_lines;
	return true;
}

enum gate_refusal
framing_read_headers(struct framing *f, struct span lines)
{
	struct head_facts facts = {0};

	if (!make_room(f))
		return GATE_MEMORY;
	while (lines.n > 0) {
		size_t n = span_find(lines, '\n');
		enum gate_refusal why = read_header(f, span_of(lines.p, n - 1), &facts);
		if (why != GATE_OK)
			return why;
		lines = span_from(lines, n + 1);
	}
	if (f->has_length && f->is_chunked)
		return GATE_TWO_FRAMINGS;
	if ((facts.seen & SINGLE_HOST) == 0 && !f->is_http10)
		return GATE_HOST;
	/* A 100 would confuse a client of HTTP/1.0 (RFC 9110 10.1.1). */
	f->wants_continue = f->wants_continue && !f->is_http10;
	f->wants_close = facts.is_close || (f->is_http10 && !facts.is_keep);
	return read_target(f);
}
