/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See witness_text.h. Of the dead letters the verdict keeps the first ones; how many there are is said all the same. */
#include "witness_text.h"

#include <inttypes.h>

#include "audit/witness.h"
#include "base/buf.h"
#include "base/log.h"

void
witness_text_add_json(const struct witness_verdict *w, struct buf *out)
{
	BUF_ADD_LIT(out, "{\"dead\":[");
	for (size_t i = 0; i < w->n_dead_shown; i++)
		buf_printf(out,
			"%s{\"event_type\":\"%s\",\"intent_seq\":%" PRIu64
			",\"outcome\":\"%s\",\"seq\":%" PRIu64 "}",
			i > 0 ? "," : "", w->dead[i].event, w->dead[i].intent_seq,
			w->dead[i].outcome, w->dead[i].seq);
	buf_printf(out,
		"],\"dead_letters\":%" PRIu64 ",\"first\":%" PRIu64 ",\"last\":%" PRIu64
		",\"missing\":%" PRIu64 ",\"previous_chain\":\"%s\",\"previous_seq\":%" PRIu64
		",\"records\":%" PRIu64 ",\"repeated\":%" PRIu64 ",\"unlinked_chains\":%" PRIu64
		"}",
		w->n_dead, w->first, w->last, w->n_missing, w->previous_id, w->previous_seq,
		w->n_records, w->n_repeated, w->n_unlinked);
}

void
witness_text_add_dead(const struct witness_verdict *w, struct buf *out)
{
	for (size_t i = 0; i < w->n_dead_shown; i++) {
		const struct witness_dead *d = &w->dead[i];

		buf_printf(out, "dead letter: record %" PRIu64, d->seq);
		if (d->event[0] != '\0')
			buf_printf(out, ", %s", d->event);
		if (d->intent_seq > 0)
			buf_printf(out, " of record %" PRIu64, d->intent_seq);
		if (d->outcome[0] != '\0')
			buf_printf(out, ": %s", d->outcome);
		buf_add_char(out, '\n');
	}
	if (w->n_dead > w->n_dead_shown)
		buf_printf(out, "and %" PRIu64 " more dead letters\n", w->n_dead - w->n_dead_shown);
}

void
witness_text_warn_lineage(const struct witness_verdict *w)
{
	if (w->has_newer_chain)
		log_warn(NULL, "the witness has a chain that goes on from this one");
	if (w->n_unlinked > 0)
		log_warn(NULL,
			"the witness has %" PRIu64
			" chains that this one is not linked to, chain %s is one: "
			"they are another gateway's, or this one stands in their place",
			w->n_unlinked, w->unlinked_id);
	if (w->n_lost_behind_seal > 0)
		log_warn(NULL,
			"what came before this chain was sealed without %" PRIu64
			" records that the witness has of it",
			w->n_lost_behind_seal);
}
