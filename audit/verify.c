/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier. It trusts nothing but the bytes and the public key: it recomputes every link from
 * the first record on. It must never write, and never report good on a chain it has not read to the
 * end.
 */
#include "audit/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "anchor.h"
#include "audit/source.h"
#include "base/hash.h"
#include "base/sign.h"
#include "intents.h"
#include "verify_rows.h"

#define PROGRESS_EVERY 4096
#define CHAIN_START_EVENT "chain.start"

struct verification {
	const struct verify_options *o;
	struct verify_result *out;
	enum source_kind kind;
	uint64_t after;           /* the rows of the ledger up to here are not read */
	uint64_t n_before;        /* records of the sources before this one */
	struct checkpoint anchor; /* of a ledger that says where it begins; at.seq 0: it does not */
	bool has_chain_id;
	bool expected_seen;
	bool witness_seen;
	bool head_file_seen;
	/* After the first fault the lines that follow may say more about it. */
	uint64_t vanished_seq;   /* a ledger has records behind this one, but not it; 0: none */
	uint64_t wanted_seq;     /* the record that was not in its place; 0: none */
	struct intents *intents; /* of a ledger; NULL otherwise */
	bool is_last_line; /* the fault is a line that is no record, and no line follows yet */
};

/* r: the bad record, NULL when it is not about one. Returns false. */
PRINTF_LIKE(3, 4)
static bool
fail(struct verification *v, const struct source_record *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->out->reason, sizeof(v->out->reason), fmt, ap);
	va_end(ap);
	v->out->is_good = false;
	v->out->bad_seq = r != NULL ? r->seq : 0;
	v->out->bad_line = r != NULL ? r->line : 0;
	return false;
}

/* ---- the first fault ---- */

static bool
fail_malformed(struct verification *v, const struct source_record *r)
{
	if (r->is_behind_trailer)
		return fail(v, r, "edited: lines follow the trailer");
	(void)fail(v, r, "edited: this is not a record");
	v->is_last_line = v->kind == SOURCE_EXPORT;
	return v->is_last_line; /* whether it was cut off shows in what follows */
}

static bool
fail_seq(struct verification *v, const struct source_record *r)
{
	uint64_t wanted = v->out->head.seq + 1;

	if (r->seq < wanted)
		return fail(v, r,
			"reordered: record %" PRIu64 " comes again behind record %" PRIu64, r->seq,
			v->out->head.seq);
	(void)fail(v, NULL, "missing: record %" PRIu64, wanted);
	v->out->bad_seq = wanted;
	v->out->bad_line = r->line;
	/* The rows of a ledger come in the order of their key: what is not here is nowhere. */
	v->wanted_seq = v->kind == SOURCE_EXPORT ? wanted : 0;
	v->vanished_seq = v->kind == SOURCE_EXPORT ? 0 : wanted;
	return v->wanted_seq != 0;
}

/* The record is in its place, but its bytes are not those that were hashed there. */
static bool
fail_hash(struct verification *v, const struct source_record *r, const struct chain_fields *f)
{
	char own[SHA256_HEX + 1];

	if (f->seq != r->seq)
		return fail(v, r,
			"reordered: the place of record %" PRIu64 " holds record %" PRIu64, r->seq,
			f->seq);
	chain_hash(r->body, f->prev_event_hash, own);
	if (span_eq_cstr(r->hash, own))
		return fail(v, r,
			"edited: it does not continue record %" PRIu64
			"; one of the two was replaced",
			v->out->head.seq);
	return fail(v, r, "edited: its bytes are not those that were hashed");
}

static bool
fail_link(struct verification *v, const struct source_record *r, const struct chain_fields *f,
	enum chain_fault fault)
{
	if (fault == CHAIN_FAULT_CHAIN_ID)
		return fail(v, r, "edited: it belongs to another chain");
	if (fault == CHAIN_FAULT_SEQ)
		return fail_seq(v, r);
	return fail_hash(v, r, f);
}

/* Behind the first fault. */
static bool
look_further(struct verification *v, const struct source_record *r)
{
	v->is_last_line = false;
	if (v->wanted_seq == 0)
		return false;
	if (r->is_malformed || r->seq != v->wanted_seq)
		return true;
	snprintf(v->out->reason, sizeof(v->out->reason),
		"reordered: another record is in its place, it comes in line %" PRIu64, r->line);
	v->wanted_seq = 0;
	return false;
}

/* ---- one record ---- */

/* A chain whose first records were archived begins where the ledger's anchor says; an export of such
 * a ledger, or of a part that was archived, with the checkpoint that signs the record before it. The
 * link is judged as any other. */
static void
take_beginning(struct verification *v, const struct source_record *r)
{
	struct checkpoint cp;

	if (v->anchor.at.seq != 0 && v->kind == SOURCE_LEDGER &&
		strcmp(v->anchor.chain_id, v->out->chain_id) == 0)
		cp = v->anchor;
	else if (r->seq <= 1 || v->kind != SOURCE_EXPORT ||
		 !checkpoint_parse_record(r->body, &cp) || cp.at.seq != r->seq - 1)
		return;
	v->out->head = cp.at;
	v->out->anchor = cp.at;
}

static bool
take_first(struct verification *v, const struct source_record *r, const struct chain_fields *f)
{
	struct span key_id = chain_find_member(r->body, SPAN_LIT("key_id"));
	const char *want = v->o->key != NULL ? sign_key_id(v->o->key) : "";

	if (f->chain_id.n != CHAIN_ID_HEX)
		return fail(v, r, "edited: the first record names no chain");
	/* The first record names the one key that signs its chain. Whoever wrote it wrote the name
	 * too: what is no key id is not shown. */
	if (v->o->key != NULL && span_eq_cstr(f->event_type, CHAIN_START_EVENT) && key_id.n >= 2 &&
		!span_eq_cstr(span_of(key_id.p + 1, key_id.n - 2), want)) {
		struct span id = span_of(key_id.p + 1, key_id.n - 2);
		uint8_t raw[SIGN_KEY_ID_HEX / 2];
		if (!hash_unhex(id, raw, sizeof(raw)))
			id = SPAN_LIT("of no known form");
		return fail(v, r, "wrong key: the chain is signed with key %.*s, not %s",
			SPAN_ARG(id), want);
	}
	memcpy(v->out->chain_id, f->chain_id.p, f->chain_id.n);
	v->has_chain_id = true;
	take_beginning(v, r);
	return true;
}

/* before: where the chain stood when the record was written. */
static bool
check_checkpoint(struct verification *v, const struct source_record *r,
	const struct chain_fields *f, const struct chain_head *before)
{
	struct checkpoint cp;

	if (!span_eq_cstr(f->event_type, CHECKPOINT_EVENT))
		return true;
	if (!checkpoint_parse_record(r->body, &cp))
		return fail(v, r, "edited: the checkpoint is malformed");
	if (cp.at.seq != before->seq || strcmp(cp.at.hash, before->hash) != 0 ||
		strcmp(cp.chain_id, v->out->chain_id) != 0)
		return fail(v, r, "edited: the checkpoint is about another place or chain");
	if (v->o->key != NULL && !checkpoint_is_signed_by(&cp, v->o->key)) {
		if (strcmp(cp.key_id, sign_key_id(v->o->key)) != 0)
			return fail(v, r, "wrong key: the checkpoint is signed with key %s, not %s",
				cp.key_id, sign_key_id(v->o->key));
		return fail(v, r, "edited: the checkpoint's signature does not verify");
	}
	v->out->n_checkpoints++;
	v->out->last_checkpoint = r->seq;
	return true;
}

static bool
is_other(const struct chain_head *remembered, const struct source_record *r, bool *seen)
{
	if (remembered == NULL || r->seq != remembered->seq)
		return false;
	*seen = true;
	return !span_eq_cstr(r->hash, remembered->hash);
}

static bool
check_remembered(struct verification *v, const struct source_record *r)
{
	const struct checkpoint *head = v->o->head_file;
	bool is_anchor_seen = false;

	if (is_other(&v->anchor.at, r, &is_anchor_seen))
		return fail(v, r, "edited: the ledger's anchor remembers another record");
	if (is_other(v->o->expected, r, &v->expected_seen))
		return fail(v, r, "edited: it is not the record that was expected");
	if (is_other(v->o->witness, r, &v->witness_seen))
		return fail(v, r, "edited: the witness remembers another record");
	if (is_other(head != NULL ? &head->at : NULL, r, &v->head_file_seen))
		return fail(v, r, "edited: the head file remembers another record");
	return true;
}

static bool
visit(const struct source_record *r, void *arg)
{
	struct verification *v = arg;
	struct chain_fields f;

	if (!v->out->is_good)
		return look_further(v, r);
	if (r->is_malformed || !chain_read_fields(r->body, &f))
		return fail_malformed(v, r);
	if (!v->has_chain_id && !take_first(v, r, &f))
		return false;
	struct chain_head before = v->out->head;
	enum chain_fault fault =
		chain_check_fields(v->out->chain_id, &v->out->head, r->seq, r->body, &f, r->hash);
	if (fault != CHAIN_FAULT_NONE)
		return fail_link(v, r, &f, fault);
	v->out->n_records++;
	if (v->o->progress != NULL && v->out->n_records % PROGRESS_EVERY == 0)
		v->o->progress(v->o->progress_arg, v->out->n_records);
	if (v->intents != NULL)
		intents_see(v->intents, r->seq, r->state, &f);
	return check_checkpoint(v, r, &f, &before) && check_remembered(v, r);
}

/* ---- the end ---- */

static void
check_trailer(struct verification *v, const struct source *s)
{
	struct span line = source_get_trailer(s);
	struct trailer t;

	if (line.n == 0) {
		(void)fail(v, NULL, "cut off or incomplete: there is no trailer");
		return;
	}
	if (trailer_parse(line, &t, NULL) != OK) {
		(void)fail(v, NULL, "edited: the trailer is malformed");
		return;
	}
	v->out->has_trailer = true;
	if (strcmp(t.chain_id, v->out->chain_id) != 0 ||
		t.count != v->out->n_records - v->n_before || t.head.seq != v->out->head.seq ||
		strcmp(t.head.hash, v->out->head.hash) != 0) {
		(void)fail(v, NULL,
			"cut off: the trailer speaks of %" PRIu64 " records up to %" PRIu64,
			t.count, t.head.seq);
		return;
	}
	if (t.is_signed && v->o->key != NULL && !trailer_is_signed_by(&t, v->o->key)) {
		(void)fail(v, NULL, "%s",
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
		return fail(v, NULL,
			"not here: %s record %" PRIu64
			", which was archived; give the archives too (--archive)",
			who, seq);
	return fail(v, NULL, "cut off: %s record %" PRIu64 ", the last one here is %" PRIu64, who,
		seq, v->out->head.seq);
}

static void
check_end(struct verification *v, const struct source *s)
{
	const struct verify_options *o = v->o;

	if (v->out->n_records == 0) {
		(void)fail(v, NULL, "cut off: there is no record");
		return;
	}
	if (o->expected != NULL &&
		!check_reached(v, "expected", o->expected->seq, v->expected_seen))
		return;
	if (o->witness != NULL &&
		!check_reached(v, "the witness remembers", o->witness->seq, v->witness_seen))
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
		(void)fail(v, NULL, "cut off: records vanished while they were read");
}

static enum err
check_rows(struct verification *v, struct source *s, struct errinfo *ei)
{
	char why[VERIFY_WHY_MAX] = "";
	uint64_t seq = 0;
	enum err rc = verify_rows(s, v->intents, v->after, v->out->head.seq, &seq, why, ei);

	if (rc != OK || why[0] == '\0')
		return rc;
	(void)fail(v, NULL, "%s", why);
	v->out->bad_seq = seq;
	return OK;
}

static void
check_head_file(struct verification *v)
{
	const struct checkpoint *head = v->o->head_file;

	if (head == NULL || v->o->key == NULL || checkpoint_is_signed_by(head, v->o->key))
		return;
	(void)fail(v, NULL, "%s",
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
		(void)fail(v, NULL, "edited: %.200s", why.msg);
		return OK;
	}
	if (rc != OK)
		return ERR(ei, rc, "%s", why.msg);
	if (a->at.seq != 0 && v->o->key != NULL && !anchor_is_signed_by(a, v->o->key))
		(void)fail(v, NULL, "%s",
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
	enum err rc = source_each(s, after, visit, v, ei);
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

/* ---- witnesses ---- */

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
