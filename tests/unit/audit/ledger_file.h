/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a closed ledger's file holds, and SQL behind the ledger's back. */
#ifndef TESTS_UNIT_AUDIT_LEDGER_FILE_H
#define TESTS_UNIT_AUDIT_LEDGER_FILE_H

#include "audit/checkpoint.h"
#include "audit/store.h"
#include "ledger_fixture.h"
#include "store_sqlite.h"

struct dump {
	size_t n;
	struct chain_head head;
	enum chain_fault fault;
	size_t n_open;
	size_t n_checkpoints;
	char last_type[64];
};

static inline bool
dump_row(const struct store_row *row, void *arg)
{
	struct dump *d = arg;
	struct chain_fields f;

	d->n++;
	d->n_open += row->state == LEDGER_OPEN;
	if (d->fault == CHAIN_FAULT_NONE)
		d->fault = chain_check(
			NULL, &d->head, row->seq, row->body, span_of(row->hash, SHA256_HEX));
	if (chain_read_fields(row->body, &f)) {
		snprintf(d->last_type, sizeof(d->last_type), "%.*s", SPAN_ARG(f.event_type));
		d->n_checkpoints += span_eq_cstr(f.event_type, CHECKPOINT_EVENT);
	}
	return true;
}

/* All records, and whether their chain holds. */
static inline struct dump
dump_file(const char *path)
{
	struct dump d = {0};
	struct store_reader *r = NULL;
	struct errinfo ei;
	size_t n = 0;

	if (store_reader_open(path, STORE_READ_COPY, &r, &ei) != OK) {
		FAIL("reader: %s", ei.msg);
		return d;
	}
	do {
		if (store_reader_page(r, d.head.seq, STORE_PAGE_MAX, dump_row, &d, &n, &ei) != OK)
			FAIL("page: %s", ei.msg);
	} while (n == STORE_PAGE_MAX);
	store_reader_free(&r);
	return d;
}

static inline void
run_sql(const char *path, const char *sql)
{
	struct db *db = NULL;
	struct errinfo ei;

	if (db_open(path, DB_WRITE, 1000, &db, &ei) != OK || db_exec(db, sql, &ei) != OK)
		FAIL("%s: %s", sql, ei.msg);
	db_free(&db);
}

#endif
