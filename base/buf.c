/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The growing byte string. An addition is taken whole or not at all; the first one that does not
 * fit marks the buffer failed and nothing is taken any more. Must never hold more than cap bytes.
 * Runs on the thread that owns it.
 */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/must.h"

#define SIZE_FIRST 256

void
buf_init(struct buf *b, size_t cap)
{
	MUST(cap > 0 && cap < SIZE_MAX / 2);
	*b = (struct buf){.cap = cap};
}

void
buf_init_arena(struct buf *b, struct arena *a, size_t cap)
{
	MUST(a != NULL);
	buf_init(b, cap);
	b->arena = a;
}

void
buf_fini(struct buf *b)
{
	if (b->arena == NULL)
		mem_free(b->p);
	*b = (struct buf){0};
}

void
buf_reset(struct buf *b)
{
	buf_truncate(b, 0);
	b->failed = false;
}

/* Memory of size bytes with the content in it; NULL when there is none, the old memory is
 * untouched then. */
static char *
resize(const struct buf *b, size_t size)
{
	if (b->arena == NULL)
		return mem_realloc(b->p, size);
	char *p = arena_alloc(b->arena, size);
	if (p != NULL && b->n > 0)
		memcpy(p, b->p, b->n);
	return p;
}

/* Makes room for n more bytes and a NUL; marks the buffer failed when it cannot. */
static bool
grow(struct buf *b, size_t n)
{
	if (b->failed || n > b->cap - b->n) {
		b->failed = true;
		return false;
	}
	size_t needed = b->n + n + 1;
	if (needed <= b->size)
		return true;
	size_t size = b->size > 0 ? 2 * b->size : SIZE_FIRST;
	if (size > b->cap + 1)
		size = b->cap + 1;
	if (size < needed)
		size = needed;
	char *p = resize(b, size);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->size = size;
	b->p[b->n] = '\0';
	return true;
}

void
buf_add_grow(struct buf *b, const void *p, size_t n)
{
	if (!grow(b, n))
		return;
	if (n > 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void
buf_add_uint(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		at--;
		digits[at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_add(b, digits + at, sizeof(digits) - at);
}

void
buf_add_int(struct buf *b, int64_t v)
{
	if (v < 0)
		buf_add_char(b, '-');
	/* Negated as unsigned: the least one has no positive. */
	buf_add_uint(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void
buf_add_hex(struct buf *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = p;
	char *out = n < SIZE_MAX / 2 ? buf_reserve(b, 2 * n) : NULL;

	if (out == NULL) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	buf_commit(b, 2 * n);
}

void
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	size_t room = b->size - b->n;
	int n = vsnprintf(room > 0 ? b->p + b->n : NULL, room, fmt, ap);
	bool fits = n >= 0 && (size_t)n < room;
	if (n < 0 || !grow(b, (size_t)n)) {
		b->failed = true;
		/* What vsnprintf has put behind the content. */
		if (room > 0)
			b->p[b->n] = '\0';
	} else {
		if (!fits)
			vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

char *
buf_reserve_grow(struct buf *b, size_t n)
{
	return grow(b, n) ? b->p + b->n : NULL;
}

void
buf_commit(struct buf *b, size_t n)
{
	MUST(b->p != NULL && n < b->size - b->n);
	b->n += n;
	b->p[b->n] = '\0';
}

void
buf_truncate(struct buf *b, size_t n)
{
	MUST(n <= b->n);
	b->n = n;
	if (b->p != NULL)
		b->p[n] = '\0';
}
