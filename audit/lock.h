/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One process per ledger: an flock on `<ledger>.lock`, which holds the owner's pid. At open and close only. */
#ifndef AUDIT_LOCK_H
#define AUDIT_LOCK_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

/* *fd holds the lock until lock_drop; -1 on failure. ERR_BUSY naming the pid; ERR_IO. */
MUSTCHECK enum err lock_take(const char *path, int *fd, struct errinfo *ei);
/* The same on the file that is to be protected, made empty (0600) when missing; nothing is written
 * to it. */
MUSTCHECK enum err lock_hold(const char *path, int *fd, struct errinfo *ei);
/*
 * A mark in the lock file: the ledger has a write-ahead log that may hold records. Set once the log
 * is durable, cleared by a clean close; a start that finds it without the log knows that records
 * are lost. False when it could not be written.
 */
MUSTCHECK bool lock_has_log(int fd);
bool lock_mark_log(int fd, bool has_log);
/* Accepts -1. The file stays, so that nobody locks a name that another process has just removed. */
void lock_drop(int *fd);

#endif
