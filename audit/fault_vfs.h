/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A layer between SQLite and its files, in test builds only: fault points around every call, and a
 * watcher that sees what is written and synced, so that a test can cut the power. SQLite's default
 * VFS does the work.
 */
#ifndef AUDIT_FAULT_VFS_H
#define AUDIT_FAULT_VFS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#if NOMOS_FAULT_POINTS

enum fault_vfs_op {
	FAULT_VFS_OPEN,     /* of a file that was not there */
	FAULT_VFS_WRITE,    /* bytes at `at` */
	FAULT_VFS_TRUNCATE, /* to `at` bytes */
	FAULT_VFS_SYNC,     /* at is 1 when the folder is synced with it */
	FAULT_VFS_DELETE,   /* at is 1 when the folder is synced with it */
	FAULT_VFS_READ,
	FAULT_VFS_LOCK,
};

enum fault_vfs_answer {
	FAULT_VFS_GO,
	FAULT_VFS_SKIP, /* it is called done and is not: a sync that the test keeps the books of */
	FAULT_VFS_FAIL, /* SQLITE_IOERR: the power is gone */
};

struct fault_vfs_watcher {
	enum fault_vfs_answer (*see)(
		void *arg, enum fault_vfs_op op, const char *path, int64_t at, struct span bytes);
	void *arg;
};

/* Puts the layer in place, once, before any database is opened. */
void fault_vfs_install(void);
/* NULL: nobody watches. Borrowed; while no database is open. */
void fault_vfs_watch(const struct fault_vfs_watcher *w);

#endif

#endif
