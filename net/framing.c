/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the end of the head and the end of the body. Every byte is looked at once, whatever the
 * pieces. Must never take a byte behind the end of a request, and never guess: what RFC 9112 lets
 * a server repair is refused here. Runs on the thread of its connection.
 */
#include "framing.h"

#include <string.h>

#include "base/hex.h"
#include "base/mem.h"
#include "base/must.h"
#include "framing_head.h"

/* What is kept between requests; an idle connection should cost little. */
#define KEEP_BYTES 2048
#define KEEP_HEADERS 32
/* 16^7 is far above any body limit; more digits are refused before they can overflow. */
#define CHUNK_DIGITS_MAX 7

void
framing_init(struct framing *f, const struct framing_limits *limits)
{
	*f = (struct framing){
		.limits = limits,
		.state = FRAMING_IN_LINE,
		.max_body = limits->max_body_bytes,
	};
	buf_init(&f->head, limits->max_headers_bytes);
	buf_init(&f->body, limits->max_body_bytes > 0 ? limits->max_body_bytes : 1);
}

void
framing_fini(struct framing *f)
{
	buf_fini(&f->head);
	buf_fini(&f->body);
	mem_free(f->headers);
	*f = (struct framing){0};
}

static void
trim_buf(struct buf *b)
{
	size_t cap = b->cap;

	if (b->size > KEEP_BYTES) {
		buf_fini(b);
		buf_init(b, cap);
	} else {
		buf_reset(b);
	}
}

void
framing_reset(struct framing *f)
{
	struct framing next = {
		.limits = f->limits,
		.state = FRAMING_IN_LINE,
		.max_body = f->limits->max_body_bytes,
		.headers = f->headers,
		.headers_size = f->headers_size,
	};

	trim_buf(&f->head);
	trim_buf(&f->body);
	next.head = f->head;
	next.body = f->body;
	if (next.headers_size > KEEP_HEADERS) {
		mem_free(next.headers);
		next.headers = NULL;
		next.headers_size = 0;
	}
	*f = next;
}

bool
framing_is_empty(const struct framing *f)
{
	return f->state == FRAMING_IN_LINE && f->head.n == 0;
}

bool
framing_limit_body(struct framing *f, size_t n)
{
	bool is_in_chunk = f->state == FRAMING_IN_CHUNK_LF || f->state == FRAMING_IN_CHUNK;
	uint64_t known = f->is_chunked ? f->body.n + (is_in_chunk ? f->left : 0) : f->length;

	if (n < f->max_body)
		f->max_body = n;
	return known <= f->max_body;
}

bool
framing_is_in_head(const struct framing *f)
{
	return f->state == FRAMING_IN_LINE || f->state == FRAMING_IN_HEADERS;
}

static enum framing_verdict
refuse(struct framing *f, enum gate_refusal why)
{
	f->state = FRAMING_IN_REFUSED;
	f->why = why;
	return FRAMING_REFUSED;
}

/* Whether none of the eight is a control byte. A carry between bytes can only make a false no. */
static bool
has_no_control(uint64_t w)
{
	const uint64_t ones = 0x0101010101010101ULL;
	const uint64_t tops = 0x8080808080808080ULL;

	return ((((w - ones * 0x20) & ~w) | ((w ^ ones * 0x7f) - ones)) & tops & ~w) == 0;
}

/* How many bytes from `at` on, in words, have no control byte among them. */
static size_t
skip_text(struct span s, size_t at)
{
	uint64_t word;

	while (s.n - at >= sizeof(word)) {
		memcpy(&word, s.p + at, sizeof(word));
		if (!has_no_control(word))
			break;
		at += sizeof(word);
	}
	return at;
}

/* Index of the first byte that may not stand in a head at all, or s.n; *has_cr travels over
 * pieces. */
static size_t
find_bad_byte(struct span s, bool *has_cr, enum gate_refusal *why)
{
	for (size_t i = *has_cr ? 0 : skip_text(s, 0); i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (*has_cr != (c == '\n')) {
			*why = GATE_LINE_END;
			return i;
		}
		*has_cr = c == '\r';
		if ((c < 0x20 && c != '\r' && c != '\n' && c != '\t') || c == 0x7f) {
			*why = GATE_HEADER_VALUE;
			return i;
		}
	}
	return s.n;
}

/* The head is whole: what body follows? */
static enum framing_verdict
end_head(struct framing *f)
{
	struct span lines = span_of(f->head.p + f->line_at, f->head.n - f->line_at - 2);
	enum gate_refusal why = framing_read_headers(f, lines);

	if (why != GATE_OK)
		return refuse(f, why);
	if (f->is_chunked) {
		f->state = FRAMING_IN_CHUNK_SIZE;
		return FRAMING_HEAD;
	}
	if (f->length > f->limits->max_body_bytes)
		return refuse(f, GATE_BODY_SIZE);
	if (f->length == 0) {
		f->state = FRAMING_IN_DONE;
		return FRAMING_DONE;
	}
	f->left = f->length;
	f->state = FRAMING_IN_LENGTH;
	return FRAMING_HEAD;
}

/* A line of the head is finished; it begins at `at`, its CRLF included. */
static enum framing_verdict
end_line(struct framing *f, size_t at)
{
	size_t n = f->head.n - at - 2;

	if (f->state == FRAMING_IN_HEADERS) {
		if (n == 0)
			return end_head(f);
		f->n_lines++;
		return f->n_lines > f->limits->max_headers ? refuse(f, GATE_HEADERS_COUNT)
							   : FRAMING_MORE;
	}
	if (n == 0) {
		if (f->has_blank)
			return refuse(f, GATE_REQUEST_LINE);
		f->has_blank = true;
		buf_reset(&f->head);
		return FRAMING_MORE;
	}
	enum gate_refusal why = framing_read_line(f, span_of(f->head.p + at, n));
	if (why != GATE_OK)
		return refuse(f, why);
	f->line_at = f->head.n;
	f->state = FRAMING_IN_HEADERS;
	return FRAMING_MORE;
}

/* Which limit the head has met. */
static enum gate_refusal
get_size_refusal(const struct framing *f)
{
	bool is_line = f->state == FRAMING_IN_LINE &&
		       f->limits->max_line_bytes < f->limits->max_headers_bytes;

	return is_line ? GATE_TARGET_LENGTH : GATE_HEADERS_SIZE;
}

/* Bytes the head may still grow by. */
static size_t
get_head_room(const struct framing *f)
{
	size_t max = f->limits->max_headers_bytes;

	if (f->state == FRAMING_IN_LINE && f->limits->max_line_bytes < max)
		max = f->limits->max_line_bytes;
	return max - f->head.n;
}

/* Takes the piece up to its first line end into the head. The byte that is refused, and why, are
 * the same however the bytes were cut into pieces. */
static enum framing_verdict
feed_head(struct framing *f, struct span piece, size_t *used)
{
	enum gate_refusal why = GATE_OK;
	size_t room = get_head_room(f);
	size_t n = span_find(piece, '\n');
	bool is_line = n < piece.n;

	if (is_line)
		n++;
	bool is_over = n > room;
	if (is_over)
		n = room;
	if (find_bad_byte(span_of(piece.p, n), &f->has_cr, &why) < n) {
		bool is_line_byte = why == GATE_HEADER_VALUE && f->state == FRAMING_IN_LINE;
		return refuse(f, is_line_byte ? GATE_REQUEST_LINE : why);
	}
	if (is_over)
		return refuse(f, get_size_refusal(f));
	size_t at = f->head.n;
	buf_add(&f->head, piece.p, n);
	if (buf_failed(&f->head))
		return refuse(f, GATE_MEMORY);
	*used = n;
	if (!is_line)
		return FRAMING_MORE;
	/* A line that came in pieces began before this one. */
	while (at > 0 && f->head.p[at - 1] != '\n')
		at--;
	return end_line(f, at);
}

/* Takes what there is of `left` bytes into the body. */
static enum framing_verdict
feed_data(struct framing *f, struct span piece, size_t *used)
{
	size_t n = piece.n < f->left ? piece.n : (size_t)f->left;

	buf_add(&f->body, piece.p, n);
	if (buf_failed(&f->body))
		return refuse(f, GATE_MEMORY);
	*used = n;
	f->left -= n;
	if (f->left > 0)
		return FRAMING_MORE;
	if (f->state == FRAMING_IN_CHUNK) {
		f->state = FRAMING_IN_CHUNK_CR;
		return FRAMING_MORE;
	}
	f->state = FRAMING_IN_DONE;
	return FRAMING_DONE;
}

/* One byte of the chunk-size line; no extension, no blank. */
static enum framing_verdict
feed_chunk_size(struct framing *f, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		if (f->n_digits == CHUNK_DIGITS_MAX)
			return refuse(f, GATE_BODY_SIZE);
		f->n_digits++;
		f->left = f->left * 16 + (uint64_t)digit;
		return FRAMING_MORE;
	}
	if (c != '\r' || f->n_digits == 0)
		return refuse(f, GATE_CHUNK);
	if (f->left > f->max_body - f->body.n)
		return refuse(f, GATE_BODY_SIZE);
	f->state = FRAMING_IN_CHUNK_LF;
	return FRAMING_MORE;
}

/* One byte that has to be `want`, then `next`. */
static enum framing_verdict
feed_exact(struct framing *f, char c, char want, enum framing_state next)
{
	if (c != want)
		return refuse(f, GATE_CHUNK);
	if (next == FRAMING_IN_CHUNK_SIZE) {
		f->left = 0;
		f->n_digits = 0;
	}
	f->state = next;
	return next == FRAMING_IN_DONE ? FRAMING_DONE : FRAMING_MORE;
}

/* One step: at least one byte of the piece, which has one. */
static enum framing_verdict
feed_some(struct framing *f, struct span piece, size_t *used)
{
	*used = 1;
	switch (f->state) {
	case FRAMING_IN_LINE:
	case FRAMING_IN_HEADERS:
		return feed_head(f, piece, used);
	case FRAMING_IN_LENGTH:
	case FRAMING_IN_CHUNK:
		return feed_data(f, piece, used);
	case FRAMING_IN_CHUNK_SIZE:
		return feed_chunk_size(f, piece.p[0]);
	case FRAMING_IN_CHUNK_LF:
		return feed_exact(
			f, piece.p[0], '\n', f->left > 0 ? FRAMING_IN_CHUNK : FRAMING_IN_LAST_CR);
	case FRAMING_IN_CHUNK_CR:
		return feed_exact(f, piece.p[0], '\r', FRAMING_IN_CHUNK_CRLF);
	case FRAMING_IN_CHUNK_CRLF:
		return feed_exact(f, piece.p[0], '\n', FRAMING_IN_CHUNK_SIZE);
	case FRAMING_IN_LAST_CR:
		return feed_exact(f, piece.p[0], '\r', FRAMING_IN_LAST_LF);
	case FRAMING_IN_LAST_LF:
		return feed_exact(f, piece.p[0], '\n', FRAMING_IN_DONE);
	case FRAMING_IN_DONE:
		*used = 0;
		return FRAMING_DONE;
	case FRAMING_IN_REFUSED:
		*used = 0;
		return FRAMING_REFUSED;
	}
	UNREACHABLE("framing state");
}

enum framing_verdict
framing_feed(struct framing *f, struct span piece, size_t *used)
{
	enum framing_verdict verdict = FRAMING_MORE;

	*used = 0;
	if (f->state == FRAMING_IN_REFUSED)
		return FRAMING_REFUSED;
	if (f->state == FRAMING_IN_DONE)
		return FRAMING_DONE;
	while (verdict == FRAMING_MORE && *used < piece.n) {
		size_t n = 0;
		verdict = feed_some(f, span_from(piece, *used), &n);
		*used += n;
	}
	return verdict;
}
