/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, blocking: for start-up, the pool and the command line, never on a loop. Errors name the
 * path as the caller gave it; callers that answer a client must not pass the message on.
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

/* Appends a whole regular file of at most max bytes (opened O_NONBLOCK, fstat'ed: no FIFO, no
 * device); on failure out holds what it held before. ERR_NOT_FOUND, ERR_IO (also when it was
 * changed while it was read), ERR_INVALID (not regular), ERR_TOO_LARGE (max, or out's cap), ERR_NOMEM. */
MUSTCHECK enum err fdio_read_file(
	const char *path, size_t max, struct buf *out, struct errinfo *ei);
/* Writes by temporary file in the same folder, fsync, rename, fsync of the folder. mode as
 * open(2). A symbolic link at path is replaced, not followed. On failure the old file is there
 * still, but for a failed fsync of the folder, after which it may be either. ERR_IO, ERR_NOMEM,
 * ERR_CRYPTO. */
MUSTCHECK enum err fdio_write_file(
	const char *path, struct span data, unsigned mode, struct errinfo *ei);
/* The same for a file that is not there yet: whole or not at all, and whatever is at path stays.
 * ERR_CONFLICT, and the errors above. */
MUSTCHECK enum err fdio_write_new_file(
	const char *path, struct span data, unsigned mode, struct errinfo *ei);
/* What was made, renamed or removed in the folder that path lies in survives a power cut. ERR_IO,
 * ERR_NOMEM. */
MUSTCHECK enum err fdio_sync_folder(const char *path, struct errinfo *ei);
/* All of it, over short writes and EINTR. ERR_IO. */
MUSTCHECK enum err fdio_write_all(int fd, struct span data, struct errinfo *ei);
/* dir + "/" + path when path is relative, else path; backslashes in path read as slashes;
 * lexically cleaned as Go's path.Clean. dir may be "" or NULL. In the arena; NULL on failure and
 * when path holds a NUL. */
char *fdio_join(struct arena *a, const char *dir, struct span path);

#endif
