/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of records to be read: a ledger file, also one that a gateway is writing, or an export.
 * Reading never writes to the file (decisions 19): beside a live writer pages are read in short
 * transactions; without one a private copy of database and write-ahead log is read, so that nothing
 * is recovered in place. Blocking; the command line's thread. Never in the process that writes the
 * ledger: closing any descriptor of a file drops the locks a process has on it.
 */
#ifndef AUDIT_SOURCE_H
#define AUDIT_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct source;
struct store_reader;

enum source_kind { SOURCE_LEDGER = 0, SOURCE_EXPORT };

/* What is known about other users of the file. */
enum source_access {
	SOURCE_SHARED = 0, /* nothing: the file and what lies beside it stay as they are */
	SOURCE_LOCKED,     /* the caller holds `<path>.lock`: nobody writes; a copy is read */
	SOURCE_PRIVATE, /* nobody else uses the file: it is read in place, its log is recovered */
};

struct source_record {
	uint64_t seq;  /* as the row or the record says */
	uint64_t line; /* of an export, from 1; 0 for a ledger */
	struct span body;
	struct span hash;  /* 64 hex digits when sound */
	int state;         /* enum ledger_state; 0 for an export */
	bool is_malformed; /* an export's line that is no record (body is the line), or a row that
			      is too long */
	bool is_behind_trailer; /* a line that follows the trailer; malformed as well */
};

/*
 * The kind is found by the first bytes. The copy lies in TMPDIR and has no name once this returns.
 * ERR_NOT_FOUND, ERR_INVALID (neither kind), ERR_UNSUPPORTED (another schema), ERR_BUSY (the file
 * keeps changing), ERR_IO, ERR_CORRUPT, ERR_NOMEM.
 */
MUSTCHECK enum err source_open(
	const char *path, enum source_access access, struct source **out, struct errinfo *ei);
void source_free(struct source **s);
enum source_kind source_get_kind(const struct source *s);
/* Whether a gateway held the ledger when it was opened. */
bool source_is_live(const struct source *s);
/* The last record of a ledger when it was opened or refreshed; seq 0 for an export. */
struct chain_head source_get_head(const struct source *s);
/* Of a ledger, the source's; NULL for an export. */
struct store_reader *source_get_reader(struct source *s);

/* Looks for the head again: a live ledger has new records then; all others stay as they were
 * opened. ERR_IO, ERR_CORRUPT. */
MUSTCHECK enum err source_refresh(struct source *s, struct errinfo *ei);

/*
 * Visits the records with seq > after in order, up to the head; of an export, all lines but the
 * trailer, in the file's order. No transaction is open during a visit, so it may take its time.
 * False from visit ends it. The spans of a record are valid during the call. ERR_IO, ERR_CORRUPT,
 * ERR_NOMEM; ERR_TOO_LARGE for a line no record can have.
 */
typedef bool (*source_visit_fn)(const struct source_record *r, void *arg);
MUSTCHECK enum err source_each(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei);
/* After source_each of an export went to the end: its trailer line, or the empty span. */
struct span source_get_trailer(const struct source *s);

/* Whether a gateway holds the ledger at path now. The question never keeps one from starting.
 * ERR_IO. */
MUSTCHECK enum err source_find_writer(const char *path, bool *is_live, struct errinfo *ei);

#endif
