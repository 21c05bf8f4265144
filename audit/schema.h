/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The tables of the SQLite store and how an older file becomes a new one. Documented in
 * audit/store.h. */
#ifndef AUDIT_SCHEMA_H
#define AUDIT_SCHEMA_H

#include "base/attr.h"
#include "base/err.h"

struct db;

/* Makes the schema in an empty file, or brings an older one up to date, each step in a transaction.
 * ERR_INVALID (another program's file), ERR_UNSUPPORTED (a newer schema), and those of db_exec. */
MUSTCHECK enum err schema_migrate(struct db *db, struct errinfo *ei);
/* What readers need has been there since this version: a ledger, or a backup, that no newer gateway has opened
 * yet can be verified, searched and copied as it is. */
#define SCHEMA_READABLE_VERSION 1
/* The same checks without changing anything. ERR_UNSUPPORTED also for a schema older than `oldest`. */
MUSTCHECK enum err schema_check(struct db *db, int oldest, struct errinfo *ei);

#endif
