/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See verdict_text.h. All is built before anything is printed, so that there is no half of a verdict. */
#include "verdict_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/verify.h"
#include "audit/witness.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "witness_text.h"

static void
add_witness(const struct witness_verdict *w, struct buf *b)
{
	buf_printf(b, "the witness agrees: %" PRIu64 " records, from %" PRIu64 " to %" PRIu64,
		w->n_records, w->first, w->last);
	if (w->n_repeated > 0)
		buf_printf(b, ", %" PRIu64 " told again", w->n_repeated);
	if (w->n_dead > 0)
		buf_printf(b, ", %" PRIu64 " dead letters", w->n_dead);
	buf_add_char(b, '\n');
	if (w->previous_id[0] != '\0')
		buf_printf(b,
			"goes on from chain %s at record %" PRIu64 ": verify its sealed file too\n",
			w->previous_id, w->previous_seq);
	witness_text_add_dead(w, b);
}

static void
add_whole_export(const struct verdict_text *v, struct buf *b)
{
	const struct verify_result *r = v->result;

	buf_printf(b, "whole: %" PRIu64 " records, %s trailer%s\n", r->n_records,
		r->is_trailer_signed ? "signed" : "unsigned",
		r->is_trailer_signed && v->key_id == NULL ? " (signature not checked)" : "");
}

static void
add_whole_ledger(const struct verify_result *r, struct buf *b)
{
	if (r->n_archives > 0)
		buf_printf(b, "whole with %zu archives, %" PRIu64 " records\n", r->n_archives,
			r->n_records);
	if (r->anchor.seq > 0)
		buf_printf(b, "records 1 to %" PRIu64 " are in the archive\n", r->anchor.seq);
	buf_printf(b, "whole to checkpoint %" PRIu64 ", %" PRIu64 " unsigned records behind it\n",
		r->last_checkpoint, r->head.seq - r->last_checkpoint);
}

static void
add_not_whole(const struct verdict_text *v, struct buf *b)
{
	const struct verify_result *r = v->result;

	BUF_ADD_LIT(b, "not whole: ");
	if (r->is_archive_bad)
		buf_printf(b, "%s: ", v->archives[r->n_archives]);
	if (r->bad_seq > 0)
		buf_printf(b, "record %" PRIu64 ": ", r->bad_seq);
	if (r->bad_line > 0)
		buf_printf(b, "line %" PRIu64 ": ", r->bad_line);
	buf_printf(b, "%s\n", r->reason);
	if (v->against == NULL)
		return;
	if (v->against->is_good) {
		add_witness(v->against, b);
		return;
	}
	buf_printf(b, "by itself it is whole: %" PRIu64 " records to %" PRIu64 "\n", r->n_records,
		r->head.seq);
	if (v->against->n_unlinked > 0 && span_starts(span_cstr(r->reason), SPAN_LIT("replaced")))
		buf_printf(b,
			"when you know that chain, and why it is not this ledger's: "
			"--accept-chain %s\n",
			v->against->unlinked_id);
}

static void
add_text(const struct verdict_text *v, struct buf *b)
{
	if (!v->result->is_good) {
		add_not_whole(v, b);
		return;
	}
	if (v->is_export)
		add_whole_export(v, b);
	else
		add_whole_ledger(v->result, b);
	if (v->against != NULL)
		add_witness(v->against, b);
}

/* Members sorted. */
static void
add_json(const struct verdict_text *v, struct buf *b)
{
	const struct verify_result *r = v->result;

	buf_printf(
		b, "{\"anchor_seq\":%" PRIu64 ",\"archives\":%zu,", r->anchor.seq, r->n_archives);
	if (r->is_archive_bad) {
		BUF_ADD_LIT(b, "\"bad_archive\":");
		json_quote(b, span_cstr(v->archives[r->n_archives]));
		buf_add_char(b, ',');
	}
	buf_printf(b, "\"bad_line\":%" PRIu64 ",\"bad_seq\":%" PRIu64 ",\"chain_id\":", r->bad_line,
		r->bad_seq);
	json_quote(b, span_cstr(r->chain_id));
	buf_printf(b, ",\"checkpoint\":%" PRIu64 ",\"checkpoints\":%" PRIu64 ",\"good\":%s",
		r->last_checkpoint, r->n_checkpoints, r->is_good ? "true" : "false");
	buf_printf(b, ",\"head_hash\":\"%s\",\"head_seq\":%" PRIu64, r->head.hash, r->head.seq);
	buf_printf(b, ",\"key_id\":\"%s\",\"kind\":\"%s\",\"reason\":",
		v->key_id != NULL ? v->key_id : "", v->is_export ? "export" : "ledger");
	json_quote(b, span_cstr(r->reason));
	buf_printf(b, ",\"records\":%" PRIu64 ",\"trailer_signed\":%s", r->n_records,
		r->is_trailer_signed ? "true" : "false");
	if (v->against != NULL) {
		BUF_ADD_LIT(b, ",\"witness\":");
		witness_text_add_json(v->against, b);
	}
	BUF_ADD_LIT(b, "}\n");
}

bool
verdict_text_print(const struct verdict_text *v, bool is_json)
{
	struct buf b;

	buf_init(&b, BUF_CAP_RECORD);
	if (is_json)
		add_json(v, &b);
	else
		add_text(v, &b);
	bool is_built = !buf_failed(&b);
	if (is_built)
		(void)fwrite(b.p, 1, b.n, stdout);
	else
		log_error(NULL, "out of memory");
	buf_fini(&b);
	return is_built;
}

void
verdict_text_warn(const struct verdict_text *v)
{
	const struct verify_result *r = v->result;

	if (v->against != NULL && v->against->is_cut)
		log_warn(NULL, "the witness ends inside a record, which does not count");
	if (v->against != NULL)
		witness_text_warn_lineage(v->against);
	if (!r->is_good)
		return;
	if (v->key_id == NULL)
		log_warn(NULL, "no public key: signatures were not checked (--checkpoint-key)");
	if (v->is_export && !r->is_trailer_signed)
		log_warn(NULL,
			"the trailer is not signed: whoever cut the export could have written it");
	if (!v->is_export && r->last_checkpoint == 0)
		log_warn(NULL, "there is no checkpoint yet: nothing is signed");
}
