/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Approvals for planes: deciding, looking, the chore that ends what has run out. Every call is one entry of the ledger and
 * answers on the loop it was made on, once it is durable; the answer is the body that goes out. Authentication is the caller's; who
 * may decide is judged here (decisions 26 to 30).
 */
#ifndef PIPELINE_APPROVALS_H
#define PIPELINE_APPROVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/req.h"

struct identity;
struct loop;
struct pipeline;
struct snapshot;

/* How a decision came. WEBHOOK, SLACK and TEAMS are relays. */
enum approval_channel {
	CHANNEL_API = 0,
	CHANNEL_UI,
	CHANNEL_WEBHOOK,
	CHANNEL_SLACK,
	CHANNEL_TEAMS,
	CHANNEL__MAX
};

struct approvals_answer {
	unsigned status;        /* of HTTP */
	const char *code;       /* of the error; "" with 200 */
	struct span text;       /* the error's message, or the body */
	uint32_t retry_after_s; /* 0: none */
	const char *state;      /* of approvals_look with 200: "pending", "approved", ... */
};
typedef void (*approvals_done_fn)(const struct approvals_answer *answer, void *arg);

/* done is called exactly once, possibly before the call returns, on the loop's thread. */
struct approvals_call {
	struct pipeline *pipeline;
	struct snapshot *snapshot;
	struct loop *loop;
	approvals_done_fn done;
	void *arg;
	bool is_paid; /* another limit bounds these calls: no rate is taken */
};

/* All spans are copied. */
struct approvals_ballot {
	enum approval_channel channel;
	struct span approval_id;
	struct span decision;     /* as it was written: "approve", "DENIED", ... */
	struct span reason;       /* may be empty */
	struct caller caller;     /* of API and UI */
	struct span relayed_user; /* of a relay; empty: none was given */
	bool ack_redacted;
};
void approvals_decide(const struct approvals_call *call, const struct approvals_ballot *ballot);

struct approvals_page {
	size_t limit;          /* 1 to APPROVALS_PAGE_MAX */
	uint64_t before_seq;   /* the cursor; 0: from the newest */
	bool is_all;           /* not only pending ones */
	struct span principal; /* who looks */
};
#define APPROVALS_PAGE_MAX 200
/* How many wait for a decision: the answer's text is the number. */
void approvals_count(const struct approvals_call *call);
void approvals_list(const struct approvals_call *call, const struct approvals_page *page);
/* With its parameters, redacted, as this principal may see and decide it. */
void approvals_show(
	const struct approvals_call *call, struct span approval_id, const struct caller *caller);
/* For the agent that it was opened for; nobody else's exists. */
void approvals_look(const struct approvals_call *call, struct span approval_id,
	const struct identity *identity);

/* How long and how many may wait for decisions (board.h), by this snapshot. */
struct approvals_wait_limits {
	int64_t max_wait_ns;
	size_t max;
	size_t max_per_principal;
};
struct approvals_wait_limits approvals_get_wait_limits(const struct snapshot *s);

/* Whether the relay's route exists; and whether this is its token, in constant time. */
bool approvals_has_relay(const struct snapshot *s, enum approval_channel channel);
bool approvals_is_relay(const struct snapshot *s, enum approval_channel channel, struct span token);

/* Another snapshot is in force, and outlives that; before any request has it. One that began under an older one ends no approval. */
void approvals_set_in_force(struct pipeline *p, const struct snapshot *s);
/* Now and then, on one loop: ends approvals that have run out, on record. Cheap while there is none. */
void approvals_sweep(struct pipeline *p, struct snapshot *s, struct loop *loop);

#endif
