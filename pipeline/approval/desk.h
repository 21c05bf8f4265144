/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Where approvals are worked on: the ledger's thread has an arena for it, and everybody the time. One per pipeline. */
#ifndef PIPELINE_APPROVAL_DESK_H
#define PIPELINE_APPROVAL_DESK_H

#include <stdatomic.h>

#include "approval/approval.h"
#include "base/attr.h"
#include "base/err.h"

struct arena;
struct ledger_tx;
struct req;
struct snapshot;

struct approval_desk {
	struct arena *arena;              /* apply and undo only; emptied by each */
	int64_t epoch;                    /* of this run */
	_Atomic int64_t due_wall_ns;      /* nothing runs out before */
	bool is_sweeping;                 /* of the loop that sweeps, as are the next two */
	char policy_hash[SHA256_HEX + 1]; /* the one in force when it last swept */
	uint64_t outdated_before_seq;     /* those of older policies are ended down to here */
	_Atomic bool has_outdated;        /* or may have */
	_Atomic bool has_newer_outdated;  /* above that place, where a look that goes on is past */
	char swept_hash[SHA256_HEX + 1];  /* of the last look for them; ledger's thread */
	_Atomic(const struct snapshot *) in_force; /* only compared; NULL: the first one */
};

/* ERR_NOMEM, ERR_CRYPTO. */
MUSTCHECK enum err approval_desk_init(struct approval_desk *d, struct errinfo *ei);
void approval_desk_fini(struct approval_desk *d);
struct approval_moment approval_desk_now(const struct approval_desk *d);
/* A text that is too large because the desk had no memory for it is no fault of the text. Of apply and undo. */
enum err approval_desk_judge(const struct approval_desk *d, enum err rc);
/* Something has to be done at that time. Any thread. */
void approval_desk_remind(struct approval_desk *d, int64_t wall_ns);

/* Whether no newer configuration has taken the place of this one. Any thread. */
bool approval_desk_is_in_force(const struct approval_desk *d, const struct snapshot *s);

/* One was asked for under this policy. The ledger's thread. */
void approval_desk_note_policy(struct approval_desk *d, const char *policy_hash);

/*
 * What a request does at the desk. prepare, on its loop: what the ledger's thread will need. ERR_INVALID with the text for
 * the client, ERR_NOMEM, ERR_CRYPTO.
 */
MUSTCHECK enum err approval_prepare(struct req *r, struct errinfo *ei);
/* Decides the request by the rows of the ledger and records that: used, asked for, denied. */
MUSTCHECK enum err approval_apply(struct ledger_tx *tx, struct req *r, struct errinfo *ei);
/* The use, if there was one, is given back. */
MUSTCHECK enum err approval_undo(struct ledger_tx *tx, struct req *r, struct errinfo *ei);
/* Tells those who wait; once it is durable. */
void approval_tell(struct req *r);

#endif
