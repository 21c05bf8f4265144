/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a descriptor that may be a terminal. One that polls as writable may still take less than it is given, and a write then waits
 * until somebody reads it, which may be never; its flags are shared with other processes, so it stays blocking. Any thread.
 */
#ifndef BASE_TERMINAL_H
#define BASE_TERMINAL_H

#include <sys/types.h>

#include "base/attr.h"
#include "base/span.h"

/* How long a terminal may hold up one write. */
#define TERMINAL_WRITE_MS 100

/* As write(2); on a terminal it comes back after TERMINAL_WRITE_MS with what was taken, EINTR when nothing was. SIGURG is used up for that. */
MUSTCHECK ssize_t terminal_write(int fd, struct span text);

#endif
