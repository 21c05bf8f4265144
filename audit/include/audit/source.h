/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of records to be read: a ledger file, also one that a gateway is writing, or an export. Reading never writes to the
 * file (decisions 19): beside a live writer pages are read in short transactions; without one a private copy of
 * database and write-ahead log is read, so that nothing is recovered in place. Blocking; the command line's thread.
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

enum source_kind { SOURCE_LEDGER = 0, SOURCE_EXPORT };

struct source_record {
	uint64_t seq;       /* as the row or the record says */
	uint64_t line;      /* of an export, from 1; 0 for a ledger */
	struct span body;
	struct span hash;   /* 64 hex digits when sound */
	int state;          /* enum ledger_state; 0 for an export */
	bool is_malformed;  /* an export's line that is no record: body is the line */
};

/* The kind is found by the first bytes. ERR_NOT_FOUND, ERR_INVALID (neither kind), ERR_UNSUPPORTED, ERR_IO, ERR_CORRUPT. */
MUSTCHECK enum err source_open(const char *path, struct source **out, struct errinfo *ei);
void source_free(struct source **s);
enum source_kind source_get_kind(const struct source *s);
/* Whether a gateway holds the ledger now. */
bool source_is_live(const struct source *s);
/* The last record of a ledger when it was opened; seq 0 for an export. */
struct chain_head source_get_head(const struct source *s);

/*
 * Visits the records with seq > after in order, up to the head that source_open saw; of an export, all lines but the trailer.
 * False from visit ends it. The spans of a record are valid during the call. ERR_IO, ERR_CORRUPT, ERR_TOO_LARGE.
 */
typedef bool (*source_visit_fn)(const struct source_record *r, void *arg);
MUSTCHECK enum err source_each(struct source *s, uint64_t after, source_visit_fn visit, void *arg,
	struct errinfo *ei);
/* After source_each of an export went to the end: its trailer line, or the empty span. */
struct span source_get_trailer(const struct source *s);

#endif
