/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/records/{seq}/verify: the hash of one record reckoned anew, its link to the record before, and the chain from it up to
 * the next checkpoint with its signature, which together say that it is as it was recorded. Reader thread.
 */
#include <inttypes.h>
#include <stdio.h>

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "base/arena.h"
#include "ui_filter.h"

/* Records between one and its checkpoint that are read for it. */
#define STEPS_MAX 100000
#define PATH_BYTES_MAX 4096

enum answer { UNKNOWN = 0, NO, YES };

struct check {
	struct ui_job *job;
	uint64_t seq;
	bool is_found;
	char previous_hash[SHA256_HEX + 1]; /* "" when the record before is not here */
	char recomputed[SHA256_HEX + 1];
	enum answer matches;
	enum answer is_linked;
	/* from the record to the checkpoint */
	struct chain_head at;
	size_t n_steps;
	enum answer is_chain_good;
	struct checkpoint checkpoint;
	uint64_t checkpoint_seq; /* of the checkpoint's own record; 0: none yet */
	enum answer is_signed;
};

static enum answer
answer_of(bool yes)
{
	return yes ? YES : NO;
}

static void
check_record(struct check *c, const struct store_row *row)
{
	struct chain_fields f;
	bool has_fields = chain_read_fields(row->body, &f);
	struct span previous = span_cstr(c->previous_hash);

	c->is_found = true;
	/* Without the record before, what this one says of it is what its hash was made with. */
	if (previous.n == 0 && has_fields && f.prev_event_hash.n == SHA256_HEX)
		previous = f.prev_event_hash;
	chain_hash(row->body, previous, c->recomputed);
	c->matches = answer_of(has_fields && f.seq == row->seq &&
			       span_eq_cstr(span_cstr(c->recomputed), row->hash));
	if (c->seq == 1)
		c->is_linked = answer_of(has_fields && f.prev_event_hash.n == 0);
	else if (c->previous_hash[0] != '\0')
		c->is_linked =
			answer_of(has_fields && span_eq_cstr(f.prev_event_hash, c->previous_hash));
	c->at = (struct chain_head){.seq = row->seq};
	memcpy(c->at.hash, row->hash, sizeof(c->at.hash));
}

static bool
visit_pair(const struct store_row *row, void *arg)
{
	struct check *c = arg;

	if (row->seq == c->seq) {
		check_record(c, row);
		return false;
	}
	if (row->seq + 1 != c->seq)
		return false;
	memcpy(c->previous_hash, row->hash, sizeof(c->previous_hash));
	return true;
}

static bool
visit_step(const struct store_row *row, void *arg)
{
	struct check *c = arg;
	struct chain_head before = c->at;

	if (chain_check(NULL, &c->at, row->seq, row->body, span_cstr(row->hash)) !=
		CHAIN_FAULT_NONE) {
		c->is_chain_good = NO;
		return false;
	}
	if (checkpoint_parse_record(row->body, &c->checkpoint)) {
		/* A genuine signature may have been put behind another chain than the one it was made of. */
		bool is_about_this = c->checkpoint.at.seq == before.seq &&
				     strcmp(c->checkpoint.at.hash, before.hash) == 0;
		c->is_chain_good = answer_of(is_about_this);
		if (is_about_this)
			c->checkpoint_seq = row->seq;
		return false;
	}
	return ++c->n_steps < STEPS_MAX;
}

/* A checkpoint's own record is signed by the next one. */
static enum err
walk_to_checkpoint(struct check *c, struct store_reader *r, struct errinfo *ei)
{
	enum err rc = OK;
	size_t n = 1;

	while (rc == OK && n > 0 && c->checkpoint_seq == 0 && c->is_chain_good != NO &&
		c->n_steps < STEPS_MAX)
		rc = store_reader_page(r, c->at.seq, STORE_PAGE_MAX, visit_step, c, &n, ei);
	return rc;
}

static void
check_signature(struct check *c)
{
	char path[PATH_BYTES_MAX];
	struct sign_key *key = NULL;
	int n = snprintf(path, sizeof(path), "%s.pub", c->job->ledger_path);

	if (c->checkpoint_seq == 0 || n < 0 || (size_t)n >= sizeof(path) ||
		checkpoint_load_public_key(path, &key, NULL) != OK)
		return;
	c->is_signed = answer_of(checkpoint_is_signed_by(&c->checkpoint, key));
	sign_key_free(&key);
}

static const char *
message_of(const struct check *c)
{
	if (c->matches != YES)
		return "This record was changed: its hash does not fit its content.";
	if (c->is_linked == NO)
		return "This record does not continue the one before it.";
	if (c->is_chain_good == NO)
		return "This record fits its hash, but the chain behind it is broken.";
	if (c->is_signed == NO)
		return "The signature of the next checkpoint does not verify.";
	if (c->checkpoint_seq == 0)
		return "This record fits its hash and its place; no checkpoint has signed it yet.";
	if (c->is_signed == UNKNOWN)
		return "This record fits its hash and its place; the public key to check the next "
		       "checkpoint with is missing.";
	if (c->is_linked == UNKNOWN)
		return "This record is as it was signed; the record before it is in an archive.";
	return "This record is as it was recorded: hash, links and the next checkpoint's signature "
	       "are good.";
}

static void
add_answer(struct buf *b, const char *name, enum answer answer)
{
	buf_printf(b, ",\"%s\":%s", name,
		answer == UNKNOWN ? "null" : (answer == YES ? "true" : "false"));
}

static void
build(struct check *c)
{
	struct buf *b = &c->job->body;

	buf_printf(b, "{\"seq\":%" PRIu64 ",\"recomputed_hash\":\"%s\"", c->seq, c->recomputed);
	add_answer(b, "matches", c->matches);
	add_answer(b, "links_to_previous", c->is_linked);
	add_answer(b, "chain_to_checkpoint", c->is_chain_good);
	if (c->checkpoint_seq != 0) {
		buf_printf(b, ",\"checkpoint\":{\"seq\":%" PRIu64, c->checkpoint_seq);
		add_answer(b, "signature_valid", c->is_signed);
		BUF_ADD_LIT(b, "}");
	} else {
		BUF_ADD_LIT(b, ",\"checkpoint\":null");
	}
	buf_printf(b, ",\"message\":\"%s\"}\n", message_of(c));
}

static void
verify_record(struct ui_job *job)
{
	struct check *c = job->input;
	struct store_reader *r = NULL;
	struct errinfo ei;
	size_t n;

	if (!ui_job_open_ledger(job, &r))
		return;
	enum err rc = store_reader_page(r, c->seq > 1 ? c->seq - 2 : 0, 2, visit_pair, c, &n, &ei);
	/* Behind a cut the first row is this one already, or a later one. */
	if (rc == OK && !c->is_found)
		rc = store_reader_page(r, c->seq - 1, 1, visit_pair, c, &n, &ei);
	if (rc == OK && c->is_found)
		rc = walk_to_checkpoint(c, r, &ei);
	store_reader_free(&r);
	if (rc != OK) {
		ui_job_fail_read(job, rc, &ei);
	} else if (!c->is_found) {
		ui_job_fail(job, 404, "not_found", "no such record in the ledger");
	} else {
		check_signature(c);
		build(c);
	}
}

void
api_ui_verify(const struct exchange *x)
{
	struct ui_job *job = ui_job_new(x, verify_record);
	struct errinfo ei;

	if (job == NULL)
		return;
	struct check *c = ARENA_NEW(job->arena, struct check);
	enum err rc = c != NULL ? ui_read_seq(job->id, &c->seq, &ei)
				: ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		ui_job_refuse(job, &ei);
		return;
	}
	c->job = job;
	job->input = c;
	ui_job_start(job);
}
