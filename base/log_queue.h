/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The bounded queue of finished log lines and the thread that writes them to stderr. Any thread. */
#ifndef BASE_LOG_QUEUE_H
#define BASE_LOG_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct buf;

#define LOG_QUEUE_LINES_MAX 4096
#define LOG_QUEUE_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* Makes the line that says how many were lost, with its newline; called on the writer thread. */
typedef bool (*log_queue_lost_fn)(uint64_t n_lost, struct buf *out);

/* Starts the writer; false when it cannot or already runs. */
MUSTCHECK bool log_queue_start(log_queue_lost_fn lost);
/* Writes out what is queued, for at most two seconds while nobody reads stderr, and stops the
 * writer. */
void log_queue_stop(void);
/* Takes one line with its newline: queued when the writer runs, written at once otherwise. Never
 * blocks on a running writer; counts the line as dropped when there is no room. */
void log_queue_put(struct span line);
/* The same, but false, and nothing is counted, when more than half of the room is taken or it cannot be written. */
bool log_queue_put_spare(struct span line);
/* Lines that were not written, so far. */
uint64_t log_queue_dropped(void);
void log_queue_count_dropped(void);

#endif
