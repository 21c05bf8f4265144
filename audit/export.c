/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing an export. It must never sign what it has not seen to be one chain, and never end in a
 * trailer when a line is missing. Blocking.
 */
#include "audit/export.h"

#include <inttypes.h>
#include <string.h>

#include "anchor.h"
#include "audit/source.h"
#include "audit/trailer.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/fdio.h"
#include "base/sign.h"

#define PROGRESS_EVERY 4096
/* Lines are gathered up to this, so that small records do not cost a system call each. */
#define WRITE_BYTES ((size_t)64 * 1024)

struct export_run {
	const struct export_options *o;
	struct export_result *out;
	struct chain_head head; /* the last good link */
	char chain_id[CHAIN_ID_HEX + 1];
	struct buf lines;
	enum err rc;
	struct errinfo *ei;
};

static enum err
flush(struct export_run *x)
{
	if (buf_failed(&x->lines))
		return ERR(x->ei, ERR_NOMEM, "out of memory");
	enum err rc = FAULT_AROUND(
		EXPORT_WRITE, x->ei, fdio_write_all(x->o->fd, buf_span(&x->lines), x->ei));
	buf_reset(&x->lines);
	return rc;
}

static enum err
take_first(struct export_run *x, const struct source_record *r)
{
	struct chain_fields f;
	struct span key_id = chain_find_member(r->body, SPAN_LIT("key_id"));

	if (!chain_read_fields(r->body, &f) || f.chain_id.n != CHAIN_ID_HEX)
		return ERR(x->ei, ERR_CORRUPT, "the first record names no chain");
	memcpy(x->chain_id, f.chain_id.p, CHAIN_ID_HEX);
	if (x->o->key != NULL && key_id.n == SIGN_KEY_ID_HEX + 2 &&
		!span_eq_cstr(span_of(key_id.p + 1, SIGN_KEY_ID_HEX), sign_key_id(x->o->key)))
		return ERR(x->ei, ERR_INVALID, "wrong key: %s does not sign this chain",
			sign_key_id(x->o->key));
	return OK;
}

static enum err
write_record(struct export_run *x, const struct source_record *r)
{
	enum err rc = x->out->n_records == 0 ? take_first(x, r) : OK;

	if (rc != OK)
		return rc;
	if (r->is_malformed || !chain_build_line(r->body, r->hash, &x->lines))
		return ERR(x->ei, ERR_CORRUPT,
			"record %" PRIu64 " is not a record; see `nomos audit verify`", r->seq);
	buf_add_char(&x->lines, '\n');
	if (x->out->bad_seq == 0 &&
		chain_check(x->chain_id, &x->head, r->seq, r->body, r->hash) != CHAIN_FAULT_NONE)
		x->out->bad_seq = r->seq;
	x->out->head.seq = r->seq;
	memcpy(x->out->head.hash, r->hash.p, SHA256_HEX);
	x->out->n_records++;
	if (x->o->progress != NULL && x->out->n_records % PROGRESS_EVERY == 0)
		x->o->progress(x->o->progress_arg, x->out->n_records);
	return x->lines.n >= WRITE_BYTES || buf_failed(&x->lines) ? flush(x) : OK;
}

static bool
visit(const struct source_record *r, void *arg)
{
	struct export_run *x = arg;

	x->rc = write_record(x, r);
	return x->rc == OK;
}

static enum err
write_trailer(struct export_run *x)
{
	struct trailer t = {.count = x->out->n_records, .head = x->out->head};

	memcpy(t.chain_id, x->chain_id, sizeof(t.chain_id));
	enum err rc = trailer_sign(&t, x->out->bad_seq == 0 ? x->o->key : NULL, x->ei);
	if (rc != OK)
		return rc;
	trailer_build(&t, &x->lines);
	buf_add_char(&x->lines, '\n');
	return flush(x);
}

/*
 * Retention of a running gateway moves the anchor and removes rows while others are read. When what is missing
 * lies before it, the ledger is whole and the export is not: it gets no trailer.
 */
static enum err
look_for_retention(
	const struct export_run *x, struct source *s, uint64_t before, struct errinfo *ei)
{
	bool is_gap = x->out->bad_seq > x->head.seq + 1;
	uint64_t last_missing = is_gap ? x->out->bad_seq - 1 : source_get_head(s).seq;
	struct checkpoint anchor;

	if (x->out->bad_seq != 0 && !is_gap)
		return OK;
	enum err rc = anchor_read(source_get_reader(s), &anchor, ei);
	if (rc != OK || anchor.at.seq <= before || anchor.at.seq < last_missing ||
		(x->o->key != NULL && !anchor_is_signed_by(&anchor, x->o->key)))
		return rc;
	return ERR(ei, ERR_BUSY, "records were archived while they were read; try again");
}

enum err
export_write(struct source *s, const struct export_options *o, struct export_result *out,
	struct errinfo *ei)
{
	struct export_run x = {.o = o, .out = out, .ei = ei};

	struct checkpoint anchor;

	*out = (struct export_result){0};
	if (source_get_kind(s) != SOURCE_LEDGER)
		return ERR(ei, ERR_INVALID, "this is an export already");
	buf_init(&x.lines, WRITE_BYTES + 4 * (size_t)BUF_CAP_RECORD);
	enum err rc = anchor_read(source_get_reader(s), &anchor, ei);
	x.head = anchor.at;
	if (rc == OK && anchor.at.seq > 0 && o->key != NULL &&
		!anchor_is_signed_by(&anchor, o->key))
		rc = ERR(ei, ERR_CORRUPT,
			"the mark of what was archived is not signed with this key; see `nomos "
			"audit "
			"verify`");
	if (rc == OK)
		rc = source_each(s, anchor.at.seq, visit, &x, ei);
	if (rc == OK)
		rc = x.rc;
	if (rc == OK && (out->bad_seq != 0 || out->head.seq != source_get_head(s).seq))
		rc = look_for_retention(&x, s, anchor.at.seq, ei);
	if (rc == OK && out->n_records == 0)
		rc = ERR(ei, ERR_INVALID, "the ledger holds no record");
	if (rc == OK && out->head.seq != source_get_head(s).seq)
		rc = ERR(ei, ERR_CORRUPT, "records vanished while they were read");
	if (rc == OK)
		rc = write_trailer(&x);
	buf_fini(&x.lines);
	return rc;
}
