/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The strict framing machine behind net/gate.h: fed with the bytes of a connection in pieces of
 * any size, it finds where each request ends, or refuses. It keeps the request's head and decoded
 * body and takes no byte behind the request. Pure but for the heap; one thread at a time.
 */
#ifndef NET_FRAMING_H
#define NET_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/span.h"
#include "net/gate.h"
#include "net/http.h"

struct framing_limits {
	size_t max_headers_bytes; /* request line, header lines and their ends */
	size_t max_line_bytes;    /* the request line */
	size_t max_headers;       /* header lines */
	size_t max_body_bytes;    /* decoded */
};

/* What framing_feed says. Zero is refusal. */
enum framing_verdict {
	FRAMING_REFUSED = 0, /* why says it; no further byte is taken until framing_reset */
	FRAMING_MORE,        /* all bytes were taken, the request goes on */
	FRAMING_HEAD,        /* the head is accepted and a body follows; said once for a request */
	FRAMING_DONE /* the request is whole; no further byte is taken until framing_reset */
};

enum framing_state {
	FRAMING_IN_REFUSED = 0,
	FRAMING_IN_LINE, /* request line */
	FRAMING_IN_HEADERS,
	FRAMING_IN_LENGTH, /* body of `left` more bytes */
	FRAMING_IN_CHUNK_SIZE,
	FRAMING_IN_CHUNK_LF,   /* LF of the size line */
	FRAMING_IN_CHUNK,      /* `left` more bytes of this chunk */
	FRAMING_IN_CHUNK_CR,   /* CR behind the chunk */
	FRAMING_IN_CHUNK_CRLF, /* LF behind the chunk */
	FRAMING_IN_LAST_CR,    /* CR of the empty line at the end */
	FRAMING_IN_LAST_LF,
	FRAMING_IN_DONE
};

struct framing {
	const struct framing_limits *limits; /* borrowed */
	enum framing_state state;
	enum gate_refusal why;
	bool has_cr;      /* the byte before was a CR, in the head */
	bool has_blank;   /* the empty line before a request line was taken */
	uint8_t n_digits; /* of the chunk size */
	uint64_t left;
	size_t line_at;  /* where the unfinished line of the head begins */
	size_t n_lines;  /* header lines finished */
	size_t max_body; /* of this request */
	struct buf head;
	struct buf body;

	/* The rest is valid from FRAMING_HEAD or FRAMING_DONE on, and borrows from head. */
	enum http_method method;
	size_t target_at; /* in head */
	size_t target_n;
	struct span target;
	struct span path;
	struct span query;
	struct http_header *headers; /* n_headers, room for headers_size */
	size_t n_headers;
	size_t headers_size;
	struct span host;
	bool has_query;
	bool is_http10;
	bool wants_close;    /* the client will send no further request, or must not */
	bool wants_continue; /* Expect: 100-continue */
	bool is_chunked;
	bool has_length;
	uint64_t length;
};

/* limits must outlive f. Takes no memory yet. */
void framing_init(struct framing *f, const struct framing_limits *limits);
void framing_fini(struct framing *f);
/* Ready for the next request; big buffers are let go. */
void framing_reset(struct framing *f);
/* Whether no byte of a request has come since the reset (an empty line does not count). */
bool framing_is_empty(const struct framing *f);
/* Whether the head is not whole yet. */
bool framing_is_in_head(const struct framing *f);
/* Behind FRAMING_HEAD: the body may have at most n bytes, if that is less than the limit. False
 * when more is announced or here already; the caller refuses then. */
MUSTCHECK bool framing_limit_body(struct framing *f, size_t n);
/* Takes *used bytes of the piece and says where that leaves the request. */
MUSTCHECK enum framing_verdict framing_feed(struct framing *f, struct span piece, size_t *used);

#endif
