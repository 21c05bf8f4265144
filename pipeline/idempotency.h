/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency-Key on actions (decisions 24): a key is claimed in the transaction of the intent that it allows, and
 * kept only by an intent that was released: one that was carried out, or authorised for the caller. Whoever comes with
 * a kept key gets the answer of then, as long as the policy of now does not deny the action; nothing runs twice.
 */
#ifndef PIPELINE_IDEMPOTENCY_H
#define PIPELINE_IDEMPOTENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/ledger.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "claims.h"
#include "pipeline/req.h"

struct req;

/* What a key's claim said when the ledger's thread looked. Zero: nothing was asked. */
enum key_answer {
	KEY_NOT_ASKED = 0,
	KEY_NEW,
	KEY_REPLAY,      /* the answer is in `stored` */
	KEY_IN_PROGRESS, /* its action has not ended, or is not released */
	KEY_UNKNOWN,     /* its action was cut off by a crash */
	KEY_MISMATCH,    /* it belongs to another action */
	KEY_FULL,        /* no room for one more */
};

/* Of a request that carries a key. */
struct req_key {
	uint8_t key[CLAIM_KEY_BYTES];
	uint8_t owner[CLAIM_KEY_BYTES];
	uint8_t binding[SHA256_BYTES]; /* from look on */
	enum key_answer answer;
	struct span stored; /* what the claim holds, or is to hold */
};

/*
 * How many more keys an identity may put before they have to be counted again. Counts only ever fall behind its back, so
 * it never lets through too many. Of the ledger's thread; zero at first.
 */
#define KEY_ROOMS 4096 /* pages that nobody uses cost nothing */
struct key_room {
	uint8_t owner[CLAIM_KEY_BYTES];
	int64_t max;
	int64_t left;
	int64_t look_mono_ns; /* not before, once it was full */
};
struct key_rooms {
	struct key_room all;
	struct key_room owners[KEY_ROOMS]; /* by the first bytes */
};

/* On the request's loop, once the identity is known. A step to end with, or STEP__MAX to go on. */
MUSTCHECK enum req_step idempotency_prepare(struct req *r);
/* In apply of the decision, first. *is_answered: nothing may be recorded or done, idempotency_respond says why. */
MUSTCHECK enum err idempotency_look(
	struct ledger_tx *tx, struct req *r, bool *is_answered, struct errinfo *ei);
/* In the same apply, behind the record of the intent. */
MUSTCHECK enum err idempotency_claim(struct ledger_tx *tx, struct req *r, struct errinfo *ei);
/* In undo of the decision. */
MUSTCHECK enum err idempotency_give_back(struct ledger_tx *tx, struct req *r, struct errinfo *ei);
/* On the loop, before the outcome is submitted: what its claim will hold. */
void idempotency_build_outcome(struct req *r);
/* In apply of the outcome, behind its record. */
MUSTCHECK enum err idempotency_settle(
	struct ledger_tx *tx, struct req *r, uint64_t outcome_seq, struct errinfo *ei);
/* On the loop, after a decision that the claim answered. */
enum req_step idempotency_respond(struct req *r);
/* Looks at no more than max keys that have expired (*n: how many) and deletes those whose action does not run any more; the
 * others get more time. Ledger's thread. */
MUSTCHECK enum err idempotency_purge(struct ledger_tx *tx, int64_t now_wall_ns, size_t max,
	struct arena *a, size_t *n, struct errinfo *ei);

/* stored_answer.c: the text beside a claim; an answer as it was given, or the ids alone while there is none. */
/* Into the arena, at most LEDGER_CLAIM_BODY_MAX bytes; output that has no room is cut. {NULL, 0} when memory is out. */
struct span stored_answer_build(const struct req *r, bool is_open, struct arena *a);
/* Makes it the request's result. False when it is no stored answer, or an open one: then only *action_id may be there. */
MUSTCHECK bool stored_answer_read(struct req *r, struct span stored, struct span *action_id);

#endif
