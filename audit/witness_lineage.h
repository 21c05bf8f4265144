/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How the chains that a receiver knows hang together: a ledger that was sealed names the one it goes on from; one that names nobody
 * stands by itself, or in the place of another. Blocking; the command line's thread.
 */
#ifndef AUDIT_WITNESS_LINEAGE_H
#define AUDIT_WITNESS_LINEAGE_H

#include "audit/witness.h"
#include "witness_reader.h"

/* What this record of chain c says about it. One that is not what was hashed says nothing. */
void witness_note_lineage(struct witness_chain *c, const struct witness_record *r);
/* Behind the last record: fills `previous` of each. */
void witness_link_chains(struct witness_chain *chains, size_t n);

/*
 * Holds own, one of the n chains, against all the others: the order in which they were read says nothing. o: the ledger, whose own word about where it comes from counts more
 * than the receiver's; NULL: there is none. Fills the verdict's members about other chains; not good: this chain stands where
 * another one of the same key was. The errors of reading.
 */
MUSTCHECK enum err witness_check_lineage(const struct witness_chain *chains, size_t n,
	const struct witness_chain *own, const struct witness_compared *o,
	struct witness_verdict *out, struct errinfo *ei);

#endif
