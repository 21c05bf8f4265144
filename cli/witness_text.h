/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a witness's verdict says beside good or not, for `nomos audit verify` with a ledger and without one. */
#ifndef CLI_WITNESS_TEXT_H
#define CLI_WITNESS_TEXT_H

struct buf;
struct witness_verdict;

/* Appends its counts as a JSON object. */
void witness_text_add_json(const struct witness_verdict *w, struct buf *out);
/* Appends the records that the receiver refused, a line each. */
void witness_text_add_dead(const struct witness_verdict *w, struct buf *out);
/* Warns of what the receiver's other chains say about this one. */
void witness_text_warn_lineage(const struct witness_verdict *w);

#endif
