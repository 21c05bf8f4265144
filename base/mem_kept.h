/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that a library has given back, kept by the thread for its next request of that size: libevent takes some thirty small
 * blocks for each HTTP request, and requests that wait for the ledger hold more of them than malloc keeps per thread. Private to
 * base/mem.c. In a build with sanitizers nothing is kept, so that they see each block's life.
 */
#ifndef BASE_MEM_KEPT_H
#define BASE_MEM_KEPT_H

#include <stdbool.h>
#include <stddef.h>

#define MEM_KEPT 1
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef MEM_KEPT
#define MEM_KEPT 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef MEM_KEPT
#define MEM_KEPT 0
#endif
#endif

/* What one thread keeps at most, and the largest block. */
#define MEM_KEPT_BYTES ((size_t)256 * 1024)
#define MEM_KEPT_BLOCK_MAX ((size_t)4096 + 8)

/* NULL: none of at least n bytes is kept. */
void *mem_kept_take(size_t n);
/* False: the caller frees it. p is from malloc. */
bool mem_kept_put(void *p);

#endif
