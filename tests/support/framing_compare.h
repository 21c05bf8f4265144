/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The framing machine, fed in pieces, against the reference parser over the same bytes: verdicts, statuses, ends
 * of requests, fields, bodies. Test programs only. */
#ifndef TESTS_SUPPORT_FRAMING_COMPARE_H
#define TESTS_SUPPORT_FRAMING_COMPARE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../net/framing.h"
#include "support/reference_http.h"

/* How the bytes are cut: pieces of 1 to max bytes, chosen by state; max 0: all at once. */
struct framing_cuts {
	uint64_t state;
	size_t max;
};

static size_t
next_piece(struct framing_cuts *cuts, size_t left)
{
	if (cuts->max == 0)
		return left;
	cuts->state = cuts->state * 6364136223846793005u + 1442695040888963407u;
	size_t n = 1 + (size_t)(cuts->state >> 33) % cuts->max;
	return n < left ? n : left;
}

/* What was fed and what came of it. */
struct framing_run {
	enum framing_verdict verdict;
	size_t used;
	bool has_head; /* FRAMING_HEAD was said */
};

/* Feeds until the request ends, is refused, or the input does. NULL, or what the machine did that it must not. */
static const char *
feed_request(struct framing *f, struct span in, struct framing_cuts *cuts, struct framing_run *run)
{
	*run = (struct framing_run){.verdict = FRAMING_MORE};
	while (run->used < in.n && (run->verdict == FRAMING_MORE || run->verdict == FRAMING_HEAD)) {
		size_t n = next_piece(cuts, in.n - run->used);
		size_t used = 0;
		/* A block of its own size, so that the sanitizer sees a read behind the piece. */
		char *piece = malloc(n);
		if (piece == NULL)
			abort();
		memcpy(piece, in.p + run->used, n);
		run->verdict = framing_feed(f, span_of(piece, n), &used);
		free(piece);
		if (used > n || (run->verdict == FRAMING_MORE && used != n))
			return "a wrong count of bytes taken";
		run->used += used;
		if (run->verdict != FRAMING_HEAD)
			continue;
		if (run->has_head)
			return "the head accepted twice";
		run->has_head = true;
	}
	return NULL;
}

static bool
is_place(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* What both read out of a head that both accepted. */
static const char *
compare_heads(const struct framing *f, const struct reference_request *r)
{
	if (!is_place(span_cstr(http_method_text(f->method)), r->method))
		return "methods differ";
	if (!is_place(f->target, r->target) || !is_place(f->path, r->path) ||
		f->has_query != r->has_query || !is_place(f->query, r->query))
		return "targets differ";
	if (f->is_http10 != r->is_http10 || f->wants_close != r->is_close ||
		f->wants_continue != r->is_continue || f->is_chunked != r->is_chunked)
		return "what the head asks for differs";
	if (f->n_headers != r->n_fields)
		return "numbers of header lines differ";
	for (size_t i = 0; i < r->n_fields; i++) {
		if (!is_place(f->headers[i].name, r->fields[i].name) ||
			!is_place(f->headers[i].value, r->fields[i].value))
			return "header lines differ";
	}
	return NULL;
}

static const char *
compare_request(
	const struct framing *f, const struct framing_run *run, const struct reference_request *r)
{
	bool is_over = run->verdict == FRAMING_REFUSED || run->verdict == FRAMING_DONE;

	if ((run->verdict == FRAMING_REFUSED) != (r->verdict == REFERENCE_REFUSED))
		return "one refuses";
	if (is_over != (r->verdict != REFERENCE_INCOMPLETE))
		return "one waits for more";
	if (run->verdict == FRAMING_REFUSED && gate_status(f->why) != r->status)
		return "statuses differ";
	if (run->verdict == FRAMING_DONE && run->used != r->end)
		return "the request ends elsewhere";
	if (!r->is_head_good)
		return run->has_head ? "the head is accepted by the machine alone" : NULL;
	if (run->verdict != FRAMING_REFUSED &&
		!is_place(buf_span(&f->body), span_of(r->body, r->n_body)))
		return "bodies differ";
	return compare_heads(f, r);
}

/* NULL, or how the two disagree; *n_requests is how many both read. */
static const char *
compare_framings(struct span in, const struct framing_limits *limits, struct framing_cuts cuts,
	size_t *n_requests)
{
	static struct reference_request r;
	const struct reference_limits reference_limits = {limits->max_headers_bytes,
		limits->max_line_bytes, limits->max_headers, limits->max_body_bytes};
	const char *difference = NULL;
	bool goes_on = true;
	struct framing f;

	framing_init(&f, limits);
	*n_requests = 0;
	while (in.n > 0 && goes_on) {
		struct framing_run run;
		reference_http_read(in, &reference_limits, &r);
		difference = feed_request(&f, in, &cuts, &run);
		if (difference == NULL)
			difference = compare_request(&f, &run, &r);
		goes_on = difference == NULL && r.verdict == REFERENCE_REQUEST;
		if (goes_on) {
			++*n_requests;
			in = span_from(in, r.end);
			framing_reset(&f);
		}
	}
	framing_fini(&f);
	return difference;
}

#endif
