/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip (RFC 1952): packing what goes out, and reading files that may or may not be packed. Blocking where
 * files are read; any thread.
 */
#ifndef BASE_GZIP_H
#define BASE_GZIP_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;
struct gzip_file;

/* Appends data as one gzip member. ERR_NOMEM, ERR_TOO_LARGE (out's cap); then out holds what it held before. */
MUSTCHECK enum err gzip_pack(struct span data, struct buf *out, struct errinfo *ei);

/* A regular file of text, gzip members, or one behind the other in any order. ERR_NOT_FOUND, ERR_INVALID (not regular),
 * ERR_IO, ERR_NOMEM. */
MUSTCHECK enum err gzip_open(const char *path, struct gzip_file **out, struct errinfo *ei);
/* Up to n (not 0) unpacked bytes; *got is 0 at the end. ERR_CORRUPT: a member is not whole, or is none; the next call goes on
 * with what is behind its begin. ERR_IO, ERR_NOMEM. */
MUSTCHECK enum err gzip_read(
	struct gzip_file *f, char *to, size_t n, size_t *got, struct errinfo *ei);
/* Accepts NULL. */
void gzip_close(struct gzip_file **f);

#endif
