/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Standard streams of a command: a whole input, a whole output. Blocking; one thread. */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;

/* Appends the file, or stdin when path is "-", of at most max bytes. ERR_TOO_LARGE, and as
 * fdio_read_file. */
MUSTCHECK enum err stream_read(const char *path, size_t max, struct buf *out, struct errinfo *ei);
/* Appends text for people: what a terminal would obey but line ends and tabs, and what nobody would see, becomes \u{..}. */
void stream_add_visible(struct buf *out, struct span text);
/* Writes to stdout and flushes. Says what went wrong; EXIT_DONE or EXIT_FAILED. */
int stream_print(struct span text);
/* The same for a buffer, whose failure is told too. The buffer stays the caller's. */
int stream_print_buf(const struct buf *b);

#endif
