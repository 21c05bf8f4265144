/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, blocking: for start-up, the pool and the command line, never on a loop. Errors name the path as the
 * caller gave it; callers that answer a client must not pass the message on.
 */
#ifndef BASE_FDIO_H
#define BASE_FDIO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct buf;

/* Reads a whole regular file of at most max bytes (opened O_NONBLOCK, fstat'ed: no FIFO, no device).
 * ERR_NOT_FOUND, ERR_IO, ERR_INVALID (not regular), ERR_TOO_LARGE. */
MUSTCHECK enum err fdio_read_file(const char *path, size_t max, struct buf *out, struct errinfo *ei);
/* Writes by temporary file in the same folder, fsync, rename, fsync of the folder. mode as open(2). ERR_IO. */
MUSTCHECK enum err fdio_write_file(const char *path, struct span data, unsigned mode,
	struct errinfo *ei);
/* All of it, over short writes and EINTR. ERR_IO. */
MUSTCHECK enum err fdio_write_all(int fd, struct span data, struct errinfo *ei);
/* dir + "/" + path when path is relative, else path; backslashes read as slashes; lexically cleaned. In the arena; NULL on failure. */
char *fdio_join(struct arena *a, const char *dir, struct span path);

#endif
