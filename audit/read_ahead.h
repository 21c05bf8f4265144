/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * For who reads a mapped database from end to end: while a row is worked on, a part of the page behind the present one comes into
 * the processor's cache. Pages of a table that only grows lie behind each other, so it is mostly the next; when it is not,
 * nothing but the gain is lost, for nothing is read here that counts. One connection of one thread.
 */
#ifndef AUDIT_READ_AHEAD_H
#define AUDIT_READ_AHEAD_H

#include <stddef.h>

struct read_ahead;
struct sqlite3_file;

/* Listens to which pages SQLite asks of the file (db_get_file) until it is freed, which has to be before the
 * connection is. NULL when that cannot be, for want of memory too: reading goes on without. */
struct read_ahead *read_ahead_new(struct sqlite3_file *f);
void read_ahead_free(struct read_ahead **r);
/* A row of so many bytes was read: as many of the next page are asked for. NULL does nothing. */
void read_ahead_step(struct read_ahead *r, size_t n_bytes);

#endif
