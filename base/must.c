/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a broken guarantee: one line on stderr, then abort. Must never allocate, take a lock
 * or use the log, because any of them may be what broke. Any thread.
 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

NORETURN void
must_failed(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "nomos: %s:%d: check failed: %s\n", file, line, what);

	if (n > 0) {
		size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
		/* Nothing is left to do when even this write fails. */
		ssize_t written = write(STDERR_FILENO, text, len);
		(void)written;
	}
	abort();
}
