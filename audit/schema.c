/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema as a list of migrations: entry i takes a file from user_version i to i + 1. Entries
 * are never changed once released, only added. Runs at open on the thread that owns the
 * connection.
 */
#include "schema.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/store.h"
#include "base/fault.h"
#include "store_sqlite.h"

static const char *const migrations[STORE_SCHEMA_VERSION] = {
	"CREATE TABLE records(seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, hash BLOB NOT NULL,"
	" body BLOB NOT NULL);"
	"CREATE INDEX records_open ON records(state, seq) WHERE state <> 0;"
	"CREATE TABLE claims(kind INTEGER NOT NULL, key BLOB NOT NULL, seq INTEGER NOT NULL,"
	" binding_hash BLOB NOT NULL, state INTEGER NOT NULL, expires INTEGER NOT NULL,"
	" PRIMARY KEY(kind, key)) WITHOUT ROWID;"
	"CREATE INDEX claims_expires ON claims(expires) WHERE expires <> 0;"
	"CREATE TABLE cursors(sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
	/* A body may be far longer than a row of claims, which is kept in its index: a table with rows of its own. */
	"ALTER TABLE claims ADD COLUMN owner BLOB NOT NULL"
	" DEFAULT x'00000000000000000000000000000000';"
	"DROP INDEX claims_expires;"
	"CREATE INDEX claims_due ON claims(kind, expires) WHERE expires <> 0;"
	"CREATE INDEX claims_owned ON claims(kind, owner, state);"
	"CREATE INDEX claims_listed ON claims(kind, state, seq);"
	"CREATE TABLE claim_bodies(kind INTEGER NOT NULL, key BLOB NOT NULL, body BLOB NOT NULL,"
	" PRIMARY KEY(kind, key), FOREIGN KEY(kind, key) REFERENCES claims ON DELETE CASCADE);",
};

static enum err
read_version(struct db *db, int64_t *version, struct errinfo *ei)
{
	int64_t application = 0;
	int64_t n_tables = 0;
	int64_t n_strange = 0;
	enum err rc = db_query_int(db, "PRAGMA application_id", &application, ei);

	*version = 0;
	if (rc == OK)
		rc = db_query_int(db, "PRAGMA user_version", version, ei);
	if (rc == OK)
		rc = db_query_int(db, "SELECT count(*) FROM sqlite_schema", &n_tables, ei);
	if (rc == OK)
		rc = db_query_int(db,
			"SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index')",
			&n_strange, ei);
	if (rc != OK)
		return rc;
	/* Another program's file is never touched; a file without anything in it is ours to
	 * fill. */
	if (application != STORE_APPLICATION_ID &&
		(application != 0 || *version != 0 || n_tables != 0))
		return ERR(
			ei, ERR_INVALID, "the file is a database of another program, not a ledger");
	/* A view in a table's place may have rows without end. */
	if (application == STORE_APPLICATION_ID && n_strange != 0)
		return ERR(
			ei, ERR_INVALID, "the file holds views or triggers, which no ledger has");
	if (*version > STORE_SCHEMA_VERSION)
		return ERR(ei, ERR_UNSUPPORTED,
			"the ledger has schema version %" PRId64
			", this program knows up to %d; start the newer version of nomos that "
			"wrote it",
			*version, STORE_SCHEMA_VERSION);
	return OK;
}

static enum err
migrate_one(struct db *db, int64_t version, const char *stamp, struct errinfo *ei)
{
	enum err rc = db_exec(db, "BEGIN IMMEDIATE", ei);

	if (rc == OK)
		rc = db_exec(db, migrations[version], ei);
	return rc == OK ? db_exec(db, stamp, ei) : rc;
}

enum err
schema_migrate(struct db *db, struct errinfo *ei)
{
	int64_t version = 0;
	enum err rc = read_version(db, &version, ei);

	while (rc == OK && version < STORE_SCHEMA_VERSION) {
		char stamp[128];
		snprintf(stamp, sizeof(stamp),
			"PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
			STORE_APPLICATION_ID, (int)version + 1);
		rc = FAULT_AROUND(LEDGER_SCHEMA, ei, migrate_one(db, version, stamp, ei));
		version++;
	}
	return rc; /* after a failure the caller closes the file, which rolls back */
}

enum err
schema_check(struct db *db, int oldest, struct errinfo *ei)
{
	int64_t version = 0;
	enum err rc = read_version(db, &version, ei);

	if (rc == OK && version < oldest)
		return ERR(ei, version == 0 ? ERR_INVALID : ERR_UNSUPPORTED,
			version == 0 ? "the file is empty, not a ledger"
				     : "the ledger has an older schema; start the gateway once to "
				       "bring it up to date");
	return rc;
}
