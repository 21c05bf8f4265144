/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP bytes into the framing machine: whole and in pieces (cut by the first input byte) it must
 * give the same requests, and both must agree with the plain parser below, which needs the whole
 * input and is short enough to be read at a glance.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../net/framing.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUESTS_MAX 8

static const struct framing_limits limits = {
	.max_headers_bytes = 2048,
	.max_line_bytes = 512,
	.max_headers = 12,
	.max_body_bytes = 300,
};

/* One request as read: where it ended and what it was. */
struct seen {
	size_t end;
	size_t target_n;
	size_t n_headers;
	size_t body_n;
	char body[300];
	bool is_refused;
};

struct run {
	struct seen seen[REQUESTS_MAX];
	size_t n;
};

/* Invariants of whatever the machine lets through. */
static void
check_request(const struct framing *f)
{
	MUST(f->method > HTTP_METHOD_UNKNOWN && f->method < HTTP_METHOD__MAX);
	MUST(f->target.n > 0 && f->path.n > 0 && (f->path.p[0] == '/' || f->path.p[0] == '*'));
	MUST(f->n_headers <= limits.max_headers && f->body.n <= limits.max_body_bytes);
	MUST(f->head.n <= limits.max_headers_bytes);
	for (size_t i = 0; i < f->target.n; i++)
		MUST(f->target.p[i] > 0x20 && f->target.p[i] < 0x7f);
	for (size_t i = 0; i < f->n_headers; i++)
		MUST(http_is_token(f->headers[i].name) &&
			http_is_header_value(f->headers[i].value));
}

static void
note(struct run *r, const struct framing *f, size_t end)
{
	struct seen *s = &r->seen[r->n];

	check_request(f);
	s->end = end;
	s->target_n = f->target.n;
	s->n_headers = f->n_headers;
	s->body_n = f->body.n;
	if (f->body.n > 0)
		memcpy(s->body, f->body.p, f->body.n);
	r->n++;
}

/* step 0: the whole at once. */
static void
run_machine(struct span in, unsigned step, struct run *r)
{
	struct framing f;
	size_t at = 0;
	bool is_over = false;

	framing_init(&f, &limits);
	while (at < in.n && !is_over && r->n < REQUESTS_MAX) {
		size_t n = step == 0 ? in.n - at : 1 + (at * 7 + step) % (step + 1);
		size_t used = 0;
		n = n < in.n - at ? n : in.n - at;
		enum framing_verdict v = framing_feed(&f, span_of(in.p + at, n), &used);
		MUST(used <= n && (v != FRAMING_MORE || used == n));
		at += used;
		if (v == FRAMING_DONE) {
			note(r, &f, at);
			framing_reset(&f);
		} else if (v == FRAMING_REFUSED) {
			MUST(f.why > GATE_OK && f.why < GATE__MAX);
			r->seen[r->n].is_refused = true;
			r->n++;
			is_over = true;
		}
	}
	framing_fini(&f);
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_all(struct span s, const char *set)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_alnum(s.p[i]) && !is_one_of(s.p[i], set))
			return false;
	}
	return s.n > 0;
}

/* Index of the text in s, or s.n. */
static size_t
find_text(struct span s, const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i + n <= s.n; i++) {
		if (memcmp(s.p + i, text, n) == 0)
			return i;
	}
	return s.n;
}

static struct span
strip(struct span s)
{
	while (s.n > 0 && is_one_of(s.p[0], " \t"))
		s = span_from(s, 1);
	while (s.n > 0 && is_one_of(s.p[s.n - 1], " \t"))
		s.n--;
	return s;
}

/* What the plain parser reads of a head. */
struct plain {
	bool is_10;
	bool is_chunked;
	size_t n_hosts;
	size_t n_lengths;
	size_t n_encodings;
	size_t length;
};

static bool
plain_line(struct span line, struct plain *p)
{
	size_t a = span_find(line, ' ');
	struct span rest = span_from(line, a < line.n ? a + 1 : a);
	size_t b = span_find(rest, ' ');
	struct span version = span_from(rest, b < rest.n ? b + 1 : b);

	p->is_10 = span_eq_cstr(version, "HTTP/1.0");
	return line.n <= limits.max_line_bytes - 2 && http_method_parse(span_of(line.p, a)) != 0 &&
	       is_all(span_of(rest.p, b), "%-._~!$&'()*+,;=:@/?[]") &&
	       (p->is_10 || span_eq_cstr(version, "HTTP/1.1"));
}

static bool
plain_header(struct span line, struct plain *p)
{
	size_t n = span_find(line, ':');
	struct span name = span_of(line.p, n);
	struct span value = strip(span_from(line, n < line.n ? n + 1 : n));

	if (n == line.n || !is_all(name, "!#$%&'*+-.^_`|~"))
		return false;
	for (size_t i = 0; i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];
		if ((c < 32 && c != '\t') || c == 127)
			return false;
	}
	if (span_eq_nocase(name, SPAN_LIT("host")))
		p->n_hosts++;
	if (span_eq_nocase(name, SPAN_LIT("transfer-encoding"))) {
		p->n_encodings++;
		p->is_chunked = span_eq_nocase(value, SPAN_LIT("chunked"));
		return p->is_chunked && !p->is_10;
	}
	if (!span_eq_nocase(name, SPAN_LIT("content-length")))
		return true;
	p->n_lengths++;
	if (value.n == 0 || value.n > 3 || (value.n > 1 && value.p[0] == '0'))
		return false;
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
		p->length = p->length * 10 + (size_t)(value.p[i] - '0');
	}
	return p->length <= limits.max_body_bytes;
}

/* The chunks from s on: *used bytes, body into out. False when not whole or not in the one form. */
static bool
plain_chunks(struct span s, size_t *used, struct seen *out)
{
	size_t at = 0;

	for (;;) {
		struct span rest = span_from(s, at);
		size_t n = find_text(rest, "\r\n");
		char digits[8] = {0};
		if (n == rest.n || n == 0 || n > 7)
			return false;
		memcpy(digits, rest.p, n);
		if (strspn(digits, "0123456789abcdefABCDEF") != n)
			return false;
		size_t size = (size_t)strtoul(digits, NULL, 16);
		at += n + 2;
		if (size > limits.max_body_bytes - out->body_n || s.n - at < size + 2)
			return false;
		if (memcmp(s.p + at + size, "\r\n", 2) != 0)
			return false;
		memcpy(out->body + out->body_n, s.p + at, size);
		out->body_n += size;
		at += size + 2;
		if (size == 0) {
			*used = at;
			return true;
		}
	}
}

/* Whether s begins with one whole request in the one form, as far as the framing goes. */
static bool
plain_parse(struct span s, struct seen *out)
{
	struct plain p = {0};
	size_t skip = s.n >= 2 && memcmp(s.p, "\r\n", 2) == 0 ? 2 : 0;
	struct span in = span_from(s, skip);
	size_t head_n = find_text(in, "\r\n\r\n");

	*out = (struct seen){0};
	if (head_n == in.n || head_n + 4 > limits.max_headers_bytes)
		return false;
	struct span lines = span_of(in.p, head_n);
	for (size_t i = 0; lines.n > 0; i++) {
		size_t n = find_text(lines, "\r\n");
		struct span line = span_of(lines.p, n);
		if (!(i == 0 ? plain_line(line, &p) : plain_header(line, &p)))
			return false;
		out->n_headers = i;
		lines = span_from(lines, n < lines.n ? n + 2 : n);
	}
	if (out->n_headers > limits.max_headers || p.n_lengths + p.n_encodings > 1 ||
		(p.n_hosts != 1 && !(p.is_10 && p.n_hosts == 0)))
		return false;
	struct span rest = span_from(in, head_n + 4);
	size_t used = p.length;
	if (p.is_chunked && !plain_chunks(rest, &used, out))
		return false;
	if (!p.is_chunked && rest.n < p.length)
		return false;
	if (!p.is_chunked && p.length > 0)
		memcpy(out->body, rest.p, p.length);
	out->body_n = p.is_chunked ? out->body_n : p.length;
	out->end = skip + head_n + 4 + used;
	return true;
}

/* Each request the machine let through is one for the plain parser too, and ends at the same
 * byte. */
static void
compare(struct span in, const struct run *r)
{
	size_t at = 0;

	for (size_t i = 0; i < r->n && !r->seen[i].is_refused; i++) {
		struct seen plain;
		MUST(plain_parse(span_from(in, at), &plain));
		MUST(plain.end + at == r->seen[i].end);
		MUST(plain.n_headers == r->seen[i].n_headers && plain.body_n == r->seen[i].body_n);
		MUST(memcmp(plain.body, r->seen[i].body, plain.body_n) == 0);
		at = r->seen[i].end;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole;
	static struct run split;

	if (size == 0)
		return 0;
	struct span in = span_of((const char *)data + 1, size - 1);
	memset(&whole, 0, sizeof(whole));
	memset(&split, 0, sizeof(split));
	run_machine(in, 0, &whole);
	run_machine(in, 1 + data[0] % 40, &split);
	MUST(memcmp(&whole, &split, sizeof(whole)) == 0);
	compare(in, &whole);
	return 0;
}
