/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A region of memory that is freed as a whole: one per request, one per snapshot. It has a cap;
 * failure is sticky, so a reply can be built in ten calls and checked once with arena_failed. Built
 * with NOMOS_ARENA_EMULATE each allocation is a malloc of its own, so that ASan sees overruns
 * between neighbours. Not locked: one thread at a time.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"

struct arena;

/* cap_bytes bounds all that is handed out, the padding between objects included. NULL when
 * memory is out. */
MUSTCHECK struct arena *arena_new(size_t cap_bytes);
void arena_free(struct arena **a);
/* Empties it and clears the failure mark; keeps its largest chunk (at most 256 KiB) for the next
 * use, so that an arena which serves like requests stops allocating. */
void arena_reset(struct arena *a);

/* Aligned for any object, not zeroed. NULL over the cap or when memory is out, and from then on
 * always. */
MUSTCHECK void *arena_alloc(struct arena *a, size_t n);
/* The same, zeroed; NULL also when n * size overflows. */
MUSTCHECK void *arena_zalloc(struct arena *a, size_t n, size_t size);
/* A copy with a NUL behind it; {NULL, 0} on failure. */
struct span arena_dup(struct arena *a, struct span s);
/* NUL-terminated copy; NULL on failure. */
char *arena_dup_cstr(struct arena *a, struct span s);
/* Formatted text with a NUL behind it; {NULL, 0} on failure. */
struct span arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Whether an allocation has failed since the last reset. */
bool arena_failed(const struct arena *a);
/* Bytes handed out since the last reset, with padding: what counts against the cap. */
size_t arena_used(const struct arena *a);
/* Bytes that it holds, handed out or not. */
size_t arena_held(const struct arena *a);

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), 1, sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_zalloc((a), (n), sizeof(type)))

#endif
