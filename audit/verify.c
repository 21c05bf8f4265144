/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier. It trusts nothing but the bytes and the public key: it recomputes every link from
 * the first record on. It must never write, and never report good on a chain it has not read to the
 * end.
 */
#include "audit/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "anchor.h"
#include "base/sign.h"
#include "intents.h"
#include "verify_priv.h"
#include "verify_rows.h"

static void
check_trailer(struct verification *v, const struct source *s)
{
	struct span line = source_get_trailer(s);
	struct trailer t;

	if (line.n == 0) {
		(void)verify_fail(v, NULL, "cut off or incomplete: there is no trailer");
		return;
	}
	if (trailer_parse(line, &t, NULL) != OK) {
		(void)verify_fail(v, NULL, "edited: the trailer is malformed");
		return;
	}
	v->out->has_trailer = true;
	if (strcmp(t.chain_id, v->out->chain_id) != 0 ||
		t.count != v->out->n_records - v->n_before || t.head.seq != v->out->head.seq ||
		strcmp(t.head.hash, v->out->head.hash) != 0) {
		(void)verify_fail(v, NULL,
			"cut off: the trailer speaks of %" PRIu64 " records up to %" PRIu64,
			t.count, t.head.seq);
		return;
	}
	if (t.is_signed && v->o->key != NULL && !trailer_is_signed_by(&t, v->o->key)) {
		(void)verify_fail(v, NULL, "%s",
			strcmp(t.key_id, sign_key_id(v->o->key)) != 0
				? "wrong key: the trailer is signed with another one"
				: "edited: the trailer's signature does not verify");
		return;
	}
	v->out->is_trailer_signed = t.is_signed;
}

static bool
check_reached(struct verification *v, const char *who, uint64_t seq, bool is_seen)
{
	if (is_seen)
		return true;
	if (seq <= v->out->anchor.seq)
		return verify_fail(v, NULL,
			"not here: %s record %" PRIu64
			", which was archived; give the archives too (--archive)",
			who, seq);
	return verify_fail(v, NULL, "cut off: %s record %" PRIu64 ", the last one here is %" PRIu64,
		who, seq, v->out->head.seq);
}

static void
check_end(struct verification *v, const struct source *s)
{
	const struct verify_options *o = v->o;

	if (v->out->n_records == 0) {
		(void)verify_fail(v, NULL, "cut off: there is no record");
		return;
	}
	if (o->expected != NULL &&
		!check_reached(v, "expected", o->expected->seq, v->expected_seen))
		return;
	if (o->head_file != NULL && !check_reached(v, "the head file remembers",
					    o->head_file->at.seq, v->head_file_seen))
		return;
	/* It was written after the checkpoint record itself, the next one. */
	if (o->head_file != NULL &&
		!check_reached(v, "the head file remembers", o->head_file->at.seq + 1,
			v->out->head.seq > o->head_file->at.seq))
		return;
	if (v->kind == SOURCE_EXPORT)
		check_trailer(v, s);
	else if (v->out->head.seq != source_get_head(s).seq)
		(void)verify_fail(v, NULL, "cut off: records vanished while they were read");
}

static enum err
check_rows(struct verification *v, struct source *s, struct errinfo *ei)
{
	char why[VERIFY_WHY_MAX] = "";
	uint64_t seq = 0;
	enum err rc = verify_rows(s, v->intents, v->after, v->out->head.seq, &seq, why, ei);

	if (rc != OK || why[0] == '\0')
		return rc;
	(void)verify_fail(v, NULL, "%s", why);
	v->out->bad_seq = seq;
	return OK;
}

static void
check_head_file(struct verification *v)
{
	const struct checkpoint *head = v->o->head_file;

	if (head == NULL || v->o->key == NULL || checkpoint_is_signed_by(head, v->o->key))
		return;
	(void)verify_fail(v, NULL, "%s",
		strcmp(head->key_id, sign_key_id(v->o->key)) != 0
			? "wrong key: the head file is signed with another one"
			: "edited: the head file's signature does not verify");
}

/* Where a ledger says that it begins; its rows below are being removed and count no more. */
static enum err
read_anchor(struct verification *v, struct source *s, struct errinfo *ei)
{
	const struct checkpoint *a = &v->anchor;
	struct errinfo why;

	if (source_get_kind(s) != SOURCE_LEDGER)
		return OK;
	enum err rc = anchor_read(source_get_reader(s), &v->anchor, &why);
	if (rc == ERR_CORRUPT) {
		(void)verify_fail(v, NULL, "edited: %.200s", why.msg);
		return OK;
	}
	if (rc != OK)
		return ERR(ei, rc, "%s", why.msg);
	if (a->at.seq != 0 && v->o->key != NULL && !anchor_is_signed_by(a, v->o->key))
		(void)verify_fail(v, NULL, "%s",
			strcmp(a->key_id, sign_key_id(v->o->key)) != 0
				? "wrong key: the anchor is signed with another one"
				: "edited: the anchor's signature does not verify");
	return OK;
}

/* Retention of a running gateway moves the anchor and removes rows while others are read: that is no
 * fault of the ledger, and no verdict. */
static enum err
look_for_retention(struct verification *v, struct source *s, struct errinfo *ei)
{
	uint64_t before = v->anchor.at.seq;
	enum err rc = read_anchor(v, s, ei);

	if (rc != OK || v->anchor.at.seq <= before || v->anchor.at.seq < v->vanished_seq ||
		(v->o->key != NULL && !anchor_is_signed_by(&v->anchor, v->o->key)))
		return rc;
	v->out->is_good = true; /* so far */
	return ERR(ei, ERR_BUSY, "records were archived while they were read; try again");
}

static enum err
read_source(struct verification *v, struct source *s, uint64_t after, struct errinfo *ei)
{
	v->kind = source_get_kind(s);
	v->n_before = v->out->n_records;
	enum err rc = source_each(s, after, verify_visit, v, ei);
	if (v->is_last_line && source_get_trailer(s).n == 0)
		snprintf(v->out->reason, sizeof(v->out->reason),
			"cut off: the last line is not whole, and no trailer follows");
	return rc;
}

static enum err
read_archives(struct verification *v, struct errinfo *ei)
{
	enum err rc = OK;

	for (size_t i = 0; rc == OK && v->out->is_good && i < v->o->n_archives; i++) {
		struct source *s = NULL;
		rc = source_open(v->o->archives[i], SOURCE_SHARED, &s, ei);
		if (rc == OK && source_get_kind(s) != SOURCE_EXPORT)
			rc = ERR(ei, ERR_INVALID, "%s is no archive", v->o->archives[i]);
		if (rc == OK)
			rc = read_source(v, s, 0, ei);
		if (rc == OK && v->out->is_good)
			check_trailer(v, s);
		source_free(&s);
		v->out->is_archive_bad = rc != OK || !v->out->is_good;
		if (!v->out->is_archive_bad)
			v->out->n_archives++;
	}
	v->out->has_trailer = false;
	v->out->is_trailer_signed = false;
	return rc;
}

static enum err
read_all(struct verification *v, struct source *s, struct errinfo *ei)
{
	enum err rc = read_anchor(v, s, ei);

	if (rc == OK && v->out->is_good)
		rc = read_archives(v, ei);
	if (rc != OK || !v->out->is_good)
		return rc;
	/* Behind archives the source goes on where they end. */
	if (source_get_kind(s) == SOURCE_LEDGER)
		v->after = v->out->head.seq > 0 ? v->out->head.seq : v->anchor.at.seq;
	rc = read_source(v, s, v->after, ei);
	return rc == OK && v->vanished_seq != 0 && source_is_live(s) ? look_for_retention(v, s, ei)
								     : rc;
}

enum err
verify_source(struct source *s, const struct verify_options *o, struct verify_result *out,
	struct errinfo *ei)
{
	struct verification v = {.o = o, .out = out, .kind = source_get_kind(s)};
	enum err rc = OK;

	*out = (struct verify_result){.is_good = true};
	if (v.kind == SOURCE_LEDGER) {
		v.intents = intents_new();
		if (v.intents == NULL) {
			out->is_good = false;
			return ERR(ei, ERR_NOMEM, "out of memory");
		}
	}
	check_head_file(&v);
	if (out->is_good)
		rc = read_all(&v, s, ei);
	if (rc == OK && out->is_good)
		check_end(&v, s);
	if (rc == OK && out->is_good && v.intents != NULL)
		rc = check_rows(&v, s, ei);
	intents_free(&v.intents);
	/* A fault that was found stands, also when what lies behind it cannot be read. */
	if (rc != OK && out->is_good) {
		out->is_good = false;
		return rc;
	}
	return OK;
}
