/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only door to the heap. mem_fail_at makes a chosen allocation fail, inside a library too once
 * the one file that wraps it has handed mem_alloc, mem_realloc and mem_free to it
 * (hash_hook_memory, loop_hook_memory, ...). Sizes are bytes. All functions may be called from any
 * thread.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"

/* NULL when memory is out; the caller handles it. Zero bytes give a unique pointer. */
MUSTCHECK void *mem_alloc(size_t n);
/* n * size zeroed bytes; NULL on overflow or when memory is out. */
MUSTCHECK void *mem_zalloc(size_t n, size_t size);
/* As realloc; NULL leaves the old block alone. */
MUSTCHECK void *mem_realloc(void *p, size_t n);
/* Accepts NULL. */
void mem_free(void *p);
/* A NUL-terminated heap copy; NULL when memory is out. */
MUSTCHECK char *mem_dup_span(struct span s);
MUSTCHECK char *mem_dup_cstr(const char *s);

/* At start-up only, where failure means exit: prints "out of memory" and exits with status 1
 * instead of NULL. */
RETURNS_NONNULL void *mem_need(size_t n);
RETURNS_NONNULL char *mem_need_cstr(const char *s);

/* For a library that goes wrong without memory: when the heap has none, a reserve (256 KiB, refilled when there is memory
 * again) is given back to it first; when that was not enough, the process prints "out of memory" and ends at once with status
 * 1. Not counted, never chosen to fail. Blocks go back by mem_free_held, which keeps some of them for the thread's next. */
RETURNS_NONNULL void *mem_alloc_held(size_t n);
RETURNS_NONNULL void *mem_realloc_held(void *p, size_t n);
void mem_free_held(void *p);

/* Tests: the n-th allocation from now fails (1 = the next), once; 0 turns it off. */
void mem_fail_at(unsigned long n);
/* Tests: blocks allocated and not freed, and allocations made so far. */
long mem_live(void);
unsigned long mem_count(void);

/* Overwrites secrets in a way the compiler keeps. */
void mem_wipe(void *p, size_t n);

#endif
