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
/* The same checks without changing anything. ERR_UNSUPPORTED also for an older schema. */
MUSTCHECK enum err schema_check(struct db *db, struct errinfo *ei);

#endif
