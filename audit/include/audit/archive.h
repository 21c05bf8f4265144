/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Archives: exports of records that left the ledger, one file per segment,
 * `<8 digits of the chain id>-<first>-<last>.jsonl`, each with its signed trailer. Each begins where
 * the one before it ends, and the ledger goes on behind the last (audit/verify.h). Blocking.
 */
#ifndef AUDIT_ARCHIVE_H
#define AUDIT_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"

struct sign_key;
struct store_reader;

#define ARCHIVE_PATH_MAX 4300

struct archive_order {
	struct store_reader *reader;
	const char *folder; /* made (mode 0700) when missing */
	const char *chain_id;
	struct chain_head from; /* the record before the first that is written; seq 0: none */
	struct chain_head to;   /* the last */
	const struct sign_key *key;
	/* Asked now and then; true gives up. May be NULL. */
	bool (*is_stopped)(void *arg);
	void *arg;
};

/*
 * Writes one archive beside its name, syncs it, reads it back and verifies it, and only then gives it
 * its name; path gets that. One that is there already is verified instead. ERR_CORRUPT (the records do
 * not lead from `from` to `to`), ERR_CONFLICT (another file has the name; it stays), ERR_IO,
 * ERR_NOMEM, ERR_CRYPTO, ERR_STOPPED; nothing is left then.
 */
MUSTCHECK enum err archive_write(
	const struct archive_order *o, char path[ARCHIVE_PATH_MAX], struct errinfo *ei);

struct archive_list {
	char **paths; /* in the order of their records */
	size_t n;
};
#define ARCHIVE_LIST_MAX 100000
/* The archives of a chain in a folder; chain_id "" takes those of every chain. ERR_NOT_FOUND (no such
 * folder), ERR_IO, ERR_NOMEM, ERR_TOO_LARGE. archive_list_fini is needed on failure too. */
MUSTCHECK enum err archive_list_read(
	const char *folder, const char *chain_id, struct archive_list *out, struct errinfo *ei);
void archive_list_fini(struct archive_list *l);

#endif
