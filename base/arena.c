/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena: chunks that grow in size, objects one behind the other, everything freed together.
 * Must never hand out more than its cap, and after a failure hands out nothing. What counts against
 * the cap is computed without looking at chunks, so the packed and the emulated build fail at the
 * same byte. Runs on the thread that owns the arena.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/must.h"

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif
#ifndef HAVE_ASAN
#define HAVE_ASAN 0
#endif

#if HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define HIDE(p, n) ASAN_POISON_MEMORY_REGION((p), (n))
#define SHOW(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define HIDE(p, n) ((void)(p), (void)(n))
#define SHOW(p, n) ((void)(p), (void)(n))
#endif

#define ARENA_MAGIC 0x61726e61u
#define ALIGN _Alignof(max_align_t)
#define CHUNK_FIRST ((size_t)8 * 1024)
#define CHUNK_MAX ((size_t)256 * 1024)

struct chunk {
	_Alignas(max_align_t) struct chunk *next;
	size_t size; /* bytes behind this header */
	size_t used;
};

struct arena {
	unsigned magic;
	bool failed;
	size_t cap;
	size_t used;
	struct chunk *chunks; /* newest first; objects come from the first one only */
};

static char *
chunk_bytes(struct chunk *c)
{
	return (char *)(c + 1);
}

static void
free_chunk(struct chunk *c)
{
	SHOW(chunk_bytes(c), c->size);
	mem_free(c);
}

static void
free_chunks(struct chunk *c)
{
	while (c != NULL) {
		struct chunk *next = c->next;

		free_chunk(c);
		c = next;
	}
}

struct arena *
arena_new(size_t cap_bytes)
{
	struct arena *a = mem_zalloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->magic = ARENA_MAGIC;
	a->cap = cap_bytes;
	return a;
}

void
arena_free(struct arena **a)
{
	if (*a == NULL)
		return;
	OBJ_CHECK(*a, ARENA_MAGIC);
	free_chunks((*a)->chunks);
	(*a)->magic = 0;
	mem_free(*a);
	*a = NULL;
}

/* Takes the largest chunk that is worth keeping out of the list; NULL when there is none. */
static struct chunk *
take_chunk_to_keep(struct arena *a)
{
	struct chunk **best = NULL;

	for (struct chunk **at = &a->chunks; *at != NULL; at = &(*at)->next) {
		if ((*at)->size <= CHUNK_MAX && (best == NULL || (*at)->size > (*best)->size))
			best = at;
	}
	if (best == NULL || NOMOS_ARENA_EMULATE)
		return NULL;
	struct chunk *kept = *best;
	*best = kept->next;
	return kept;
}

void
arena_reset(struct arena *a)
{
	OBJ_CHECK(a, ARENA_MAGIC);
	struct chunk *kept = take_chunk_to_keep(a);
	free_chunks(a->chunks);
	if (kept != NULL) {
		kept->next = NULL;
		kept->used = 0;
		HIDE(chunk_bytes(kept), kept->size);
	}
	a->chunks = kept;
	a->used = 0;
	a->failed = false;
}

/* Puts a chunk of exactly size bytes in front; false when memory is out. */
static bool
add_chunk(struct arena *a, size_t size)
{
	struct chunk *c = size <= SIZE_MAX - sizeof(*c) ? mem_alloc(sizeof(*c) + size) : NULL;

	if (c == NULL)
		return false;
	c->next = a->chunks;
	c->size = size;
	c->used = 0;
	HIDE(chunk_bytes(c), size);
	a->chunks = c;
	return true;
}

/* The size of the next chunk, which has to hold n bytes: twice the last one, within limits. */
static size_t
next_chunk_size(const struct arena *a, size_t n)
{
	size_t size = CHUNK_FIRST;

	if (NOMOS_ARENA_EMULATE)
		return n;
	if (a->chunks != NULL)
		size = a->chunks->size < CHUNK_MAX / 2 ? 2 * a->chunks->size : CHUNK_MAX;
	return n > size ? n : size;
}

/* align is a power of two: a division here would cost more than the rest of an allocation. */
static size_t
padding(size_t at, size_t align)
{
	return ((size_t)0 - at) & (align - 1);
}

/* n bytes at a multiple of align, cap and failure mark already dealt with; NULL when memory is
 * out. */
static void *
carve(struct arena *a, size_t n, size_t align)
{
	struct chunk *c = a->chunks;
	size_t pad = c != NULL ? padding(c->used, align) : 0;

	if (c == NULL || NOMOS_ARENA_EMULATE || c->size - c->used < pad ||
		c->size - c->used - pad < n) {
		if (!add_chunk(a, next_chunk_size(a, n)))
			return NULL;
		c = a->chunks;
		pad = 0;
	}
	char *p = chunk_bytes(c) + c->used + pad;
	c->used += pad + n;
	SHOW(p, n);
	return p;
}

static void *
alloc_aligned(struct arena *a, size_t n, size_t align)
{
	void *p = NULL;

	OBJ_CHECK(a, ARENA_MAGIC);
	/* An object of no bytes still takes one, or a loop of them would never meet the cap. */
	size_t wanted = n > 0 ? n : 1;
	size_t pad = padding(a->used, align);
	size_t left = a->cap - a->used;
	if (!a->failed && left >= pad && left - pad >= wanted)
		p = carve(a, wanted, align);
	if (p == NULL) {
		a->failed = true;
		return NULL;
	}
	a->used += pad + wanted;
	return p;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	return alloc_aligned(a, n, ALIGN);
}

void *
arena_zalloc(struct arena *a, size_t n, size_t size)
{
	OBJ_CHECK(a, ARENA_MAGIC);
	if (size > 0 && n > SIZE_MAX / size) {
		a->failed = true;
		return NULL;
	}
	void *p = arena_alloc(a, n * size);
	if (p != NULL)
		memset(p, 0, n * size);
	return p;
}

/* Text needs no alignment, which packs the many short strings of a request. */
static char *
alloc_text(struct arena *a, size_t n)
{
	/* SIZE_MAX is over every cap, so the addition cannot wrap unseen. */
	return alloc_aligned(a, n < SIZE_MAX ? n + 1 : SIZE_MAX, 1);
}

char *
arena_dup_cstr(struct arena *a, struct span s)
{
	char *copy = alloc_text(a, s.n);

	if (copy == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

struct span
arena_dup(struct arena *a, struct span s)
{
	char *copy = arena_dup_cstr(a, s);

	return copy != NULL ? span_of(copy, s.n) : SPAN_NONE;
}

struct span
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	OBJ_CHECK(a, ARENA_MAGIC);
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		a->failed = true;
		return SPAN_NONE;
	}
	char *text = alloc_text(a, (size_t)n);
	if (text == NULL)
		return SPAN_NONE;
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return span_of(text, (size_t)n);
}

bool
arena_failed(const struct arena *a)
{
	OBJ_CHECK(a, ARENA_MAGIC);
	return a->failed;
}

size_t
arena_used(const struct arena *a)
{
	OBJ_CHECK(a, ARENA_MAGIC);
	return a->used;
}

size_t
arena_held(const struct arena *a)
{
	size_t n = 0;

	OBJ_CHECK(a, ARENA_MAGIC);
	for (const struct chunk *c = a->chunks; c != NULL; c = c->next)
		n += sizeof(*c) + c->size;
	return n;
}
