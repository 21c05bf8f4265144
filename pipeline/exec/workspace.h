/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder behind file://workspace/. The kernel itself resolves every name beneath the opened folder (openat2 with
 * RESOLVE_BENEATH, NO_SYMLINKS, NO_MAGICLINKS), so that nothing can be swapped between check and use. Blocking; pool threads,
 * opening also at start and reload.
 */
#ifndef PIPELINE_WORKSPACE_H
#define PIPELINE_WORKSPACE_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;

struct workspace {
	int root_fd; /* -1: none */
};

/* Opens the folder; "" is the working directory. ERR_NOT_FOUND, ERR_INVALID (no folder), ERR_UNSUPPORTED (a kernel without
 * openat2), ERR_IO. */
MUSTCHECK enum err workspace_open(struct span path, struct workspace *out, struct errinfo *ei);
void workspace_close(struct workspace *w);
/* close(2) for a descriptor that came from here; named so that sanitizers can tell (tests/tsan.supp). */
int workspace_close_fd(int fd);

/* The path of a resource is its normal form with the leading "/". Return 0 or an error number. */

/* Opens a regular file with one name for reading; never blocks on a FIFO. EISDIR when it is no regular file, EMLINK when it
 * has several names. */
MUSTCHECK int workspace_open_file(
	const struct workspace *w, struct span path, struct arena *a, int *fd);
/* Opens the folder of the path, made with mode 0755 where it is missing; *name is the last part. */
MUSTCHECK int workspace_open_parent(
	const struct workspace *w, struct span path, struct arena *a, int *fd, const char **name);

#endif
