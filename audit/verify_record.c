/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on one record: whether it is the next link, what its checkpoint signs, and the name of the first
 * fault. It must never move on behind a fault but to name it better.
 */
#include "verify_priv.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/sign.h"
#include "intents.h"

#define PROGRESS_EVERY 4096
#define CHAIN_START_EVENT "chain.start"

bool
verify_fail(struct verification *v, const struct source_record *r, const char *fmt, ...)
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
		return verify_fail(v, r, "edited: lines follow the trailer");
	(void)verify_fail(v, r, "edited: this is not a record");
	v->is_last_line = v->kind == SOURCE_EXPORT;
	return v->is_last_line; /* whether it was cut off shows in what follows */
}

static bool
fail_seq(struct verification *v, const struct source_record *r)
{
	uint64_t wanted = v->out->head.seq + 1;

	if (r->seq < wanted)
		return verify_fail(v, r,
			"reordered: record %" PRIu64 " comes again behind record %" PRIu64, r->seq,
			v->out->head.seq);
	(void)verify_fail(v, NULL, "missing: record %" PRIu64, wanted);
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
		return verify_fail(v, r,
			"reordered: the place of record %" PRIu64 " holds record %" PRIu64, r->seq,
			f->seq);
	chain_hash(r->body, f->prev_event_hash, own);
	if (span_eq_cstr(r->hash, own))
		return verify_fail(v, r,
			"edited: it does not continue record %" PRIu64
			"; one of the two was replaced",
			v->out->head.seq);
	return verify_fail(v, r, "edited: its bytes are not those that were hashed");
}

static bool
fail_link(struct verification *v, const struct source_record *r, const struct chain_fields *f,
	enum chain_fault fault)
{
	if (fault == CHAIN_FAULT_CHAIN_ID)
		return verify_fail(v, r, "edited: it belongs to another chain");
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
		return verify_fail(v, r, "edited: the first record names no chain");
	/* The first record names the one key that signs its chain. Whoever wrote it wrote the name
	 * too: what is no key id is not shown. */
	if (v->o->key != NULL && span_eq_cstr(f->event_type, CHAIN_START_EVENT) && key_id.n >= 2 &&
		!span_eq_cstr(span_of(key_id.p + 1, key_id.n - 2), want)) {
		struct span id = span_of(key_id.p + 1, key_id.n - 2);
		uint8_t raw[SIGN_KEY_ID_HEX / 2];
		if (!hash_unhex(id, raw, sizeof(raw)))
			id = SPAN_LIT("of no known form");
		return verify_fail(v, r, "wrong key: the chain is signed with key %.*s, not %s",
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
		return verify_fail(v, r, "edited: the checkpoint is malformed");
	if (cp.at.seq != before->seq || strcmp(cp.at.hash, before->hash) != 0 ||
		strcmp(cp.chain_id, v->out->chain_id) != 0)
		return verify_fail(v, r, "edited: the checkpoint is about another place or chain");
	if (v->o->key != NULL && !checkpoint_is_signed_by(&cp, v->o->key)) {
		if (strcmp(cp.key_id, sign_key_id(v->o->key)) != 0)
			return verify_fail(v, r,
				"wrong key: the checkpoint is signed with key %s, not %s",
				cp.key_id, sign_key_id(v->o->key));
		return verify_fail(v, r, "edited: the checkpoint's signature does not verify");
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
		return verify_fail(v, r, "edited: the ledger's anchor remembers another record");
	if (is_other(v->o->expected, r, &v->expected_seen))
		return verify_fail(v, r, "edited: it is not the record that was expected");
	if (is_other(head != NULL ? &head->at : NULL, r, &v->head_file_seen))
		return verify_fail(v, r, "edited: the head file remembers another record");
	return true;
}

bool
verify_visit(const struct source_record *r, void *arg)
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
