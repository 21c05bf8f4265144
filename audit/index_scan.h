/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking candidates up in a search index, in order: every record that a query matches is among
 * them, and some that it does not. One thread, which may block.
 */
#ifndef AUDIT_INDEX_SCAN_H
#define AUDIT_INDEX_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "index_layout.h"

struct index_scan;
struct query;

/*
 * Opens the index of the ledger at path for a query. is_live: a gateway may be writing it;
 * otherwise the file is read as it lies there and nothing beside it is touched. ERR_NOT_FOUND
 * (there is none, or, when not live, it has a log that was not folded in), ERR_INVALID and
 * ERR_UNSUPPORTED (not one of this version), ERR_IO, ERR_CORRUPT, ERR_NOMEM. The query is borrowed.
 */
MUSTCHECK enum err index_scan_new(const char *path, bool is_live, const struct query *q,
	struct index_scan **out, struct errinfo *ei);
void index_scan_free(struct index_scan **s);
const struct index_header *index_scan_header(const struct index_scan *s);

/*
 * The candidate nearest to `from` between from and to, both included: going down when to < from,
 * else up. *seq is 0 when there is none. Within one scan the direction stays the same.
 */
MUSTCHECK enum err index_scan_next(
	struct index_scan *s, uint64_t from, uint64_t to, uint64_t *seq, struct errinfo *ei);
/* Whether a file that is not live is still as it was opened: else what was found means nothing. */
bool index_scan_is_current(const struct index_scan *s);

#endif
