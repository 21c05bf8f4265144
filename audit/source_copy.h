/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A private copy of a ledger's files, and whether those have changed since. Private to source.c. */
#ifndef AUDIT_SOURCE_COPY_H
#define AUDIT_SOURCE_COPY_H

#include <stdbool.h>

#include <sys/stat.h>

#include "base/attr.h"
#include "base/err.h"

#define SOURCE_PATH_MAX 4096
#define SOURCE_FILES 3 /* database, write-ahead log, rollback journal */

/* What the files looked like. */
struct source_stamp {
	struct stat files[SOURCE_FILES]; /* st_nlink 0: there was none */
};

void source_stamp_take(struct source_stamp *stamp, const char *path);
bool source_stamp_is_same(const struct source_stamp *stamp, const char *path);

struct source_copy {
	char folder[SOURCE_PATH_MAX]; /* "" when there is none */
	char path[SOURCE_PATH_MAX];   /* of the database in it */
};

/* Copies the files into a new folder, mode 0700, in TMPDIR. source_copy_remove is needed on failure
 * too. ERR_IO, ERR_NOMEM. */
MUSTCHECK enum err source_copy_make(struct source_copy *c, const char *path, struct errinfo *ei);
void source_copy_remove(struct source_copy *c);

#endif
