/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier. It trusts nothing but the bytes and the public key: it recomputes every link from the first record on. It
 * must never write, and never report good on a chain it has not read to the end.
 */
#include "audit/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "audit/checkpoint.h"
#include "audit/source.h"
#include "base/sign.h"

#define PROGRESS_EVERY 4096

struct verification {
	const struct verify_options *o;
	struct verify_result *out;
	bool has_chain_id;
	bool expected_seen;
	struct checkpoint head_file;
	bool has_head_file;
	bool head_file_seen;
};

PRINTF_LIKE(3, 4) static bool
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

static bool
take_chain_id(struct verification *v, const struct source_record *r)
{
	struct chain_fields f;

	if (!chain_read_fields(r->body, &f) || f.chain_id.n != CHAIN_ID_HEX)
		return fail(v, r, "the first record names no chain");
	memcpy(v->out->chain_id, f.chain_id.p, f.chain_id.n);
	v->has_chain_id = true;
	return true;
}

/* before: where the chain stood when the record was written. */
static bool
check_checkpoint(struct verification *v, const struct source_record *r, const struct chain_head *before)
{
	struct checkpoint cp;
	struct chain_fields f;

	if (!chain_read_fields(r->body, &f) || !span_eq_cstr(f.event_type, CHECKPOINT_EVENT))
		return true;
	if (!checkpoint_parse_record(r->body, &cp))
		return fail(v, r, "the checkpoint is malformed");
	if (cp.at.seq != before->seq || strcmp(cp.at.hash, before->hash) != 0)
		return fail(v, r, "the checkpoint is about another place in the chain");
	if (v->o->key != NULL && !checkpoint_is_signed_by(&cp, v->o->key)) {
		if (strcmp(cp.key_id, sign_key_id(v->o->key)) != 0)
			return fail(v, r, "wrong key: the checkpoint is signed with key %s, not %s",
				cp.key_id, sign_key_id(v->o->key));
		return fail(v, r, "the checkpoint's signature does not verify");
	}
	v->out->n_checkpoints++;
	v->out->last_checkpoint = cp.at.seq;
	return true;
}

static bool
check_remembered(struct verification *v, const struct source_record *r)
{
	const struct chain_head *e = v->o->expected;

	if (e != NULL && r->seq == e->seq) {
		if (!span_eq_cstr(r->hash, e->hash))
			return fail(v, r, "the witness remembers another record in this place");
		v->expected_seen = true;
	}
	if (v->has_head_file && r->seq == v->head_file.at.seq) {
		if (!span_eq_cstr(r->hash, v->head_file.at.hash))
			return fail(v, r, "the head file remembers another record in this place");
		v->head_file_seen = true;
	}
	return true;
}

static bool
visit(const struct source_record *r, void *arg)
{
	struct verification *v = arg;
	struct chain_head before = v->out->head;

	if (r->is_malformed)
		return fail(v, r, "the line is not a record");
	if (!v->has_chain_id && !take_chain_id(v, r))
		return false;
	enum chain_fault fault = chain_check(v->out->chain_id, &v->out->head, r->seq, r->body, r->hash);
	if (fault != CHAIN_FAULT_NONE)
		return fail(v, r, "%s", chain_fault_text(fault));
	v->out->n_records++;
	if (v->o->progress != NULL && v->out->n_records % PROGRESS_EVERY == 0)
		v->o->progress(v->o->progress_arg, v->out->n_records);
	return check_checkpoint(v, r, &before) && check_remembered(v, r);
}

static void
check_trailer(struct verification *v, const struct source *s)
{
	struct span line = source_get_trailer(s);
	struct trailer t;

	if (line.n == 0) {
		fail(v, NULL, "cut off or incomplete: there is no trailer");
		return;
	}
	if (trailer_parse(line, &t, NULL) != OK) {
		fail(v, NULL, "the trailer is malformed");
		return;
	}
	v->out->has_trailer = true;
	if (strcmp(t.chain_id, v->out->chain_id) != 0 || t.count != v->out->n_records ||
		t.head.seq != v->out->head.seq || strcmp(t.head.hash, v->out->head.hash) != 0) {
		fail(v, NULL, "cut off: the trailer speaks of %" PRIu64 " records up to %" PRIu64, t.count,
			t.head.seq);
		return;
	}
	if (!t.is_signed || v->o->key == NULL)
		return;
	if (!trailer_is_signed_by(&t, v->o->key)) {
		fail(v, NULL, strcmp(t.key_id, sign_key_id(v->o->key)) != 0
			? "wrong key: the trailer is signed with another one"
			: "the trailer's signature does not verify");
		return;
	}
	v->out->is_trailer_signed = true;
}

static void
check_end(struct verification *v, const struct source *s)
{
	if (v->out->n_records == 0) {
		fail(v, NULL, "there is no record");
		return;
	}
	if (v->o->expected != NULL && !v->expected_seen) {
		fail(v, NULL, "cut off: the witness remembers record %" PRIu64 ", the last one here is %" PRIu64,
			v->o->expected->seq, v->out->head.seq);
		return;
	}
	if (v->has_head_file && !v->head_file_seen) {
		fail(v, NULL, "cut off: the head file remembers record %" PRIu64 ", the last one here is %" PRIu64,
			v->head_file.at.seq, v->out->head.seq);
		return;
	}
	if (source_get_kind(s) == SOURCE_EXPORT)
		check_trailer(v, s);
}

static enum err
read_head_file(struct verification *v, struct errinfo *ei)
{
	if (v->o->head_path == NULL)
		return OK;
	enum err rc = checkpoint_read_head(v->o->head_path, &v->head_file, ei);
	if (rc == ERR_NOT_FOUND)
		return OK;
	if (rc != OK)
		return rc;
	if (v->o->key != NULL && !checkpoint_is_signed_by(&v->head_file, v->o->key))
		fail(v, NULL, "the head file's signature does not verify");
	v->has_head_file = v->head_file.at.seq > 0;
	return OK;
}

enum err
verify_source(struct source *s, const struct verify_options *o, struct verify_result *out,
	struct errinfo *ei)
{
	struct verification v = {.o = o, .out = out};

	*out = (struct verify_result){.is_good = true};
	enum err rc = read_head_file(&v, ei);
	if (rc == OK && out->is_good)
		rc = source_each(s, 0, visit, &v, ei);
	if (rc != OK) {
		out->is_good = false;
		return rc;
	}
	if (out->is_good)
		check_end(&v, s);
	return OK;
}

static bool
remember(const struct source_record *r, void *arg)
{
	struct chain_head *last = arg;

	if (!r->is_malformed && r->hash.n == SHA256_HEX && r->seq > last->seq) {
		last->seq = r->seq;
		memcpy(last->hash, r->hash.p, SHA256_HEX);
		last->hash[SHA256_HEX] = '\0';
	}
	return true;
}

enum err
verify_read_witness(struct source *s, struct chain_head *out, struct errinfo *ei)
{
	*out = (struct chain_head){0};
	enum err rc = source_each(s, 0, remember, out, ei);
	if (rc == OK && out->seq == 0)
		return ERR(ei, ERR_INVALID, "the witness holds no record");
	return rc;
}
