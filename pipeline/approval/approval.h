/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One approval: what was asked for, by whom, under which policy, who voted, how often it was used. A plain value with pure
 * transitions (decisions 9, 26, 27), those by votes in votes.h; nothing here reads a clock, a store or a configuration. An approval allows only the identity,
 * the parameters (or the class of action) and the policy that it was opened for. Texts borrow from the caller's arena. Any thread.
 */
#ifndef PIPELINE_APPROVAL_APPROVAL_H
#define PIPELINE_APPROVAL_APPROVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/span.h"
#include "pipeline/approvals.h"
#include "policy/action.h"
#include "policy/decision.h"
#include "policy/identity.h"

struct arena;
struct buf;

/* "apr_" and 24 hex digits. */
#define APPROVAL_ID_BYTES 28

enum {
	APPROVAL_VOTES_MAX = 128,
	APPROVAL_REASON_BYTES_MAX = 1000,
};

/* Zero allows nothing. The states behind APPROVED are final. */
enum approval_state {
	APPROVAL_PENDING = 0,
	APPROVAL_APPROVED,
	APPROVAL_DENIED,
	APPROVAL_CONSUMED,
	APPROVAL_EXPIRED,
	APPROVAL_STATE__MAX
};

/*
 * A moment by both clocks. The monotonic one counts only within one run of the process, which epoch names; whichever
 * clock is the first to pass an expiry ends the approval.
 */
struct approval_moment {
	int64_t wall_ns;
	int64_t mono_ns;
	int64_t epoch;
};

/* votes.h says who may cast one and what it does. */
struct approval_vote {
	struct span approver;
	struct span asserted_by; /* the relay that says so; empty: the approver's own credential */
	struct span reason;
	int64_t wall_ns;
	/* Of a token: those groups that a role of the approver, or the rule, rests on. */
	const struct span *groups;
	size_t n_groups;
	enum approval_channel channel;
	bool is_approval;
	bool ack_redacted;
};

struct approval {
	char id[APPROVAL_ID_BYTES + 1];
	enum approval_state state;
	bool is_class;   /* for any parameters of this type and resource */
	bool has_hidden; /* something in the parameters was a secret when it was opened */
	struct identity identity;
	struct span action_type;
	struct span resource; /* the normal form */
	struct span action_id;
	struct span trace_id;
	struct span obligations;      /* canonical */
	struct span rule_ids;         /* canonical array */
	const struct json *approvers; /* the obligation, or NULL: any approver */
	char fingerprint[SHA256_HEX + 1];
	char binding_hash[SHA256_HEX + 1];
	char params_hash[SHA256_HEX + 1];
	char policy_hash[SHA256_HEX + 1];
	int64_t needed; /* votes */
	int64_t max_uses;
	int64_t uses;
	int64_t created_wall_ns;
	int64_t expires_wall_ns;
	int64_t expires_mono_ns;
	int64_t epoch;
	struct approval_vote *votes;
	size_t n_votes;
};

/* What an approval is asked for. */
struct approval_request {
	const char *id;
	const struct action *action; /* normalised, with its identity */
	const struct obligations *obligations;
	struct span rule_ids;
	const char *policy_hash;
	int64_t ttl_ns;
	bool has_hidden;
};

/* Borrows from the request. ERR_INVALID when the policy's obligations cannot be read. */
MUSTCHECK enum err approval_open(struct approval *a, const struct approval_request *request,
	const struct approval_moment *now, struct errinfo *ei);
/* Whether the obligations ask for a class of actions. */
bool approval_asks_for_class(const struct obligations *o);

/* Whether its time is over, in whatever state it is. */
bool approval_has_run_out(const struct approval *a, const struct approval_moment *now);
/* The state at that moment: what has run out is EXPIRED, whatever is stored. */
enum approval_state approval_state_at(const struct approval *a, const struct approval_moment *now);

/* Why an approval does not allow an action; the texts are the values of approval_status. */
enum approval_status {
	APPROVAL_STATUS_NONE = 0,
	APPROVAL_STATUS_PENDING,
	APPROVAL_STATUS_CONSUMED,
	APPROVAL_STATUS_EXPIRED,
	APPROVAL_STATUS_DENIED,
	APPROVAL_STATUS_MISMATCH,
	APPROVAL_STATUS_POLICY_CHANGED,
	APPROVAL_STATUS_NOT_FOUND,
	APPROVAL_STATUS__MAX
};
/* NONE: it allows the action, once more. Changes nothing. */
enum approval_status approval_check(const struct approval *a, const struct action *action,
	const struct obligations *o, const char *policy_hash, const struct approval_moment *now);
/* Whether it was opened for this identity. */
bool approval_is_of(const struct approval *a, const struct identity *identity);
/* One use less; only after approval_check said NONE. */
void approval_use(struct approval *a);
/* What was used did not happen. */
void approval_give_back(struct approval *a);

bool approval_id_is_valid(struct span id);
/* "pending", "approved", "denied", "consumed", "expired". */
const char *approval_state_name(enum approval_state s);
/* "PENDING", ...: as the operator page's lists have always said it. */
const char *approval_state_label(enum approval_state s);
/* "", "pending", ... "not_found". */
const char *approval_status_name(enum approval_status s);
/* "api", "ui", "webhook", "slack", "teams". */
const char *approval_channel_name(enum approval_channel c);
/* The event type of a vote: "approval.decided", "approval.decided.ui", ... */
const char *approval_channel_event(enum approval_channel c);

/* Appends the stored form: canonical JSON, without the parameters. */
void approval_build(const struct approval *a, struct buf *out);
/* Strict: what approval_build writes and nothing else. ERR_CORRUPT, ERR_NOMEM. Borrows from text and arena. */
MUSTCHECK enum err approval_parse(
	struct span text, struct arena *arena, struct approval *out, struct errinfo *ei);

#endif
