/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of readers share: ledgers with records, their exports as text, SQL behind the
 * ledger's back, verdicts. */
#ifndef TESTS_UNIT_AUDIT_READER_FIXTURE_H
#define TESTS_UNIT_AUDIT_READER_FIXTURE_H

#include <fcntl.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/export.h"
#include "audit/source.h"
#include "audit/verify.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "ledger_file.h"
#include "ledger_fixture.h"
#include "store_sqlite.h"

/* A closed ledger: chain.start, n records "a1".. and a checkpoint behind every `every` records
 * and at the end. */
static inline const char *
make_ledger(unsigned n, uint32_t every)
{
	struct ledger_options o = options_in(test_ramdir());
	char id[16];

	o.checkpoint_every = every;
	struct ledger *l = start_ledger(&o);
	for (unsigned i = 1; i <= n; i++) {
		snprintf(id, sizeof(id), "a%u", i);
		CHECK_INT(append_one(l, id), OK);
	}
	ledger_close(&l);
	return o.path;
}

static inline const char *
beside(const char *path, const char *suffix)
{
	static char names[16][300];
	static size_t n;
	char *name = names[n++ % ARRAY_LEN(names)];
	char made[sizeof(names[0])]; /* path may be one of names */

	int length = snprintf(made, sizeof(made), "%s%s", path, suffix);
	MUST(length > 0 && (size_t)length < sizeof(made));
	memcpy(name, made, sizeof(made));
	return name;
}

/* As retention writes it. */
static inline void
put_anchor(const char *path, const struct checkpoint *anchor)
{
	struct db_stmt *st = NULL;
	struct db *db = NULL;
	struct errinfo ei;
	struct buf text;

	buf_init(&text, 1024);
	checkpoint_build_head(anchor, &text);
	if (db_open(path, DB_WRITE, 1000, &db, &ei) != OK ||
		db_prepare(db, "INSERT OR REPLACE INTO meta VALUES('anchor', ?1)", &st, &ei) != OK)
		FAIL("%s", ei.msg);
	db_bind_text(st, 1, buf_span(&text));
	CHECK_INT(db_run(st, &ei), OK);
	db_stmt_free(&st);
	db_free(&db);
	buf_fini(&text);
}

static inline struct sign_key *
load_public(const char *path)
{
	struct sign_key *key = NULL;
	struct errinfo ei;

	if (checkpoint_load_public_key(beside(path, ".pub"), &key, &ei) != OK)
		FAIL("%s", ei.msg);
	return key;
}

static inline struct sign_key *
load_private(const char *path)
{
	struct sign_key *key = NULL;
	struct errinfo ei;

	if (checkpoint_load_key(beside(path, ".key"), "", false, &key, &ei) != OK)
		FAIL("%s", ei.msg);
	return key;
}

/* out is initialised here. */
static inline void
read_text(const char *path, struct buf *out)
{
	struct errinfo ei;

	buf_init(out, BUF_CAP_FILE);
	if (fdio_read_file(path, BUF_CAP_FILE, out, &ei) != OK)
		FAIL("%s", ei.msg);
}

static inline void
write_text(const char *path, struct span text)
{
	struct errinfo ei;

	if (fdio_write_file(path, text, 0600, &ei) != OK)
		FAIL("%s", ei.msg);
}

/* Exports to `<path>.jsonl`. */
static inline const char *
export_ledger(const char *path, const struct sign_key *key, enum err want)
{
	const char *name = beside(path, ".jsonl");
	struct export_result result;
	struct source *s = NULL;
	struct errinfo ei = {0};
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct export_options o = {.fd = fd, .key = key};

	if (source_open(path, SOURCE_SHARED, &s, &ei) != OK)
		FAIL("%s", ei.msg);
	else if (export_write(s, &o, &result, &ei) != want)
		FAIL("export: %s", ei.msg);
	source_free(&s);
	close(fd);
	return name;
}

/* Verifies what is at path; the error of a source that cannot be read is the result. */
static inline enum err
verify_path(const char *path, const struct verify_options *o, struct verify_result *out)
{
	static const struct verify_options none;
	struct source *s = NULL;
	struct errinfo ei;

	*out = (struct verify_result){0};
	enum err rc = source_open(path, SOURCE_SHARED, &s, &ei);
	if (rc == OK)
		rc = verify_source(s, o != NULL ? o : &none, out, &ei);
	source_free(&s);
	return rc;
}

/* The lines of an export. */
struct lines {
	struct buf text;
	struct span line[64];
	size_t n;
};

static inline void
split(const char *path, struct lines *l)
{
	read_text(path, &l->text);
	struct span rest = buf_span(&l->text);
	for (l->n = 0; rest.n > 0 && l->n < ARRAY_LEN(l->line); l->n++) {
		size_t end = span_find(rest, '\n');
		l->line[l->n] = span_of(rest.p, end);
		rest = span_from(rest, end < rest.n ? end + 1 : end);
	}
}

static inline bool
begins(const char *text, const char *with)
{
	return span_starts(span_cstr(text), span_cstr(with));
}

#endif
