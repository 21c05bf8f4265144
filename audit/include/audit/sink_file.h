/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink `file:PATH`: one export line per record, appended to a regular file of mode 0600. What is taken is
 * on the disk (fdatasync) before the ledger's cursor moves, and a start goes on behind the last whole line of the
 * file: nothing twice, nothing left out, also after a kill. The file is rotated by size and age to PATH.1, PATH.2, ...,
 * and opened anew when somebody moved or removed it. A disk that is full only makes it fall behind.
 */
#ifndef AUDIT_SINK_FILE_H
#define AUDIT_SINK_FILE_H

#include <stdint.h>

#include "audit/sink.h"
#include "base/attr.h"
#include "base/err.h"

struct sink_file_options {
	const char *path;
	uint64_t max_bytes; /* a line that would pass this begins the next file; 0: no such rule */
	uint64_t max_age_s; /* since the file's first record; 0: no such rule */
	uint32_t keep;      /* rotated files, at least 1; the oldest is removed */
};

/* Copies the path; opens nothing yet. ERR_INVALID (no path, or one that is too long), ERR_NOMEM. */
MUSTCHECK enum err sink_file_new(
	const struct sink_file_options *o, struct sink **out, struct errinfo *ei);

#endif
