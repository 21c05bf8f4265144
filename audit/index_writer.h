/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling the search index from its ledger, a batch at a time. One thread, which may block; never
 * the ledger's writer.
 */
#ifndef AUDIT_INDEX_WRITER_H
#define AUDIT_INDEX_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"

struct index_writer;
struct store_reader;

/*
 * Opens the index beside the ledger at path, which `from` reads. One that is missing, damaged, of
 * another chain or version, ahead of the ledger or behind what the ledger still has is made anew;
 * *is_new (may be NULL) says so. shift: see index_layout.h; one of another shift is made anew.
 * ERR_IO, ERR_BUSY, ERR_NOMEM, ERR_CORRUPT (of the ledger).
 */
MUSTCHECK enum err index_writer_open(const char *path, struct store_reader *from, unsigned shift,
	struct index_writer **out, bool *is_new, struct errinfo *ei);
void index_writer_free(struct index_writer **w);
/* The last record that is indexed. */
struct chain_head index_writer_position(const struct index_writer *w);
/* Indexes at most max (<= STORE_PAGE_MAX) records that follow, in one transaction. *n: how many; 0:
 * there are none. On ERR_CORRUPT and ERR_INVALID the index is of no more use. */
MUSTCHECK enum err index_writer_add(struct index_writer *w, struct store_reader *from, size_t max,
	size_t *n, struct errinfo *ei);
/* Forgets a part of what stands before record `first`, in one transaction; *is_done when nothing is
 * left to forget. */
MUSTCHECK enum err index_writer_prune(
	struct index_writer *w, uint64_t first, bool *is_done, struct errinfo *ei);

#endif
