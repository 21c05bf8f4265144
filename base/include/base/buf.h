/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte string with a cap: no cap, no buffer. Failure (over the cap, out of memory) is
 * sticky and is checked once at the end; a failed buffer keeps what it had and takes nothing more.
 * buf_span never has a NULL pointer. On the heap, or inside an arena (then buf_fini frees nothing).
 * Not locked: one thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;

/* The caps in use, in bytes. */
enum {
	BUF_CAP_LOG_LINE = 8 * 1024,
	BUF_CAP_RECORD = 256 * 1024,
	BUF_CAP_REPLY = 1024 * 1024,
	BUF_CAP_FILE = 16 * 1024 * 1024,
};

struct buf {
	char *p;  /* NUL-terminated when not NULL */
	size_t n; /* bytes in use, without the NUL */
	size_t size;
	size_t cap;
	struct arena *arena; /* NULL: heap */
	bool failed;
};

void buf_init(struct buf *b, size_t cap);
void buf_init_arena(struct buf *b, struct arena *a, size_t cap);
void buf_fini(struct buf *b);
/* Empties it, clears the failure, keeps the memory. */
void buf_reset(struct buf *b);

/* For buf_add: grows first. */
void buf_add_grow(struct buf *b, const void *p, size_t n);

/* Inline, because most additions are a few bytes into room that is there. */
static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (b->failed || n >= b->size - b->n) {
		buf_add_grow(b, p, n);
		return;
	}
	if (n > 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

static inline void
buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.n);
}

static inline void
buf_add_cstr(struct buf *b, const char *s)
{
	buf_add_span(b, span_cstr(s));
}

static inline void
buf_add_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_add_uint(struct buf *b, uint64_t v);
void buf_add_int(struct buf *b, int64_t v);
void buf_add_hex(struct buf *b, const void *p, size_t n);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* For buf_reserve: grows first. */
MUSTCHECK char *buf_reserve_grow(struct buf *b, size_t n);

/* Room for n more bytes to be written by the caller at the returned pointer, then buf_commit.
 * NULL on failure. */
MUSTCHECK static inline char *
buf_reserve(struct buf *b, size_t n)
{
	return b->failed || n >= b->size - b->n ? buf_reserve_grow(b, n) : b->p + b->n;
}

void buf_commit(struct buf *b, size_t n);

#define BUF_ADD_LIT(b, s) buf_add((b), (s), sizeof(s) - 1)

/* Back to the first n bytes (at most what is there); a failure stays. */
void buf_truncate(struct buf *b, size_t n);

/* The content; valid until the next change. */
static inline struct span
buf_span(const struct buf *b)
{
	return span_of(b->p != NULL ? b->p : "", b->n);
}

static inline bool
buf_failed(const struct buf *b)
{
	return b->failed;
}

#endif
