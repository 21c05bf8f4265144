/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a witness remembers of a chain. Its file was written by another program and may hold anything.
 */
#include <string.h>

#include "audit/source.h"
#include "audit/verify.h"

struct memory {
	struct chain_head last;
	char chain_id[CHAIN_ID_HEX + 1];
};

static bool
remember(const struct source_record *r, void *arg)
{
	struct memory *m = arg;
	struct chain_fields f;

	/* Lines of other programs may stand between those of the sink. */
	if (r->is_malformed || r->hash.p == NULL || r->hash.n != SHA256_HEX || r->seq == 0 ||
		!chain_read_fields(r->body, &f) || f.chain_id.p == NULL ||
		f.chain_id.n != CHAIN_ID_HEX)
		return true;
	bool is_new_chain = !span_eq_cstr(f.chain_id, m->chain_id);
	/* A sink tells some records again after a crash. */
	if (!is_new_chain && r->seq <= m->last.seq)
		return true;
	/* span_cstr takes NULL, from which the analyser concludes that m may be. NOLINTNEXTLINE */
	memcpy(m->chain_id, f.chain_id.p, CHAIN_ID_HEX);
	m->last.seq = r->seq;
	memcpy(m->last.hash, r->hash.p, SHA256_HEX);
	return true;
}

enum err
verify_read_witness(struct source *s, struct chain_head *out, struct errinfo *ei)
{
	struct memory m = {.last = {0}};
	enum err rc = source_each(s, 0, remember, &m, ei);

	*out = rc == OK ? m.last : (struct chain_head){0};
	if (rc == OK && out->seq == 0)
		return ERR(ei, ERR_INVALID, "the witness holds no record");
	return rc;
}
