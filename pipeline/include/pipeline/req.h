/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One governed request on its way through the steps of step_tbl.h. A plane fills struct req_input, starts it, and
 * is called back with struct req_result; it translates and decides nothing. A request lives on one loop; what
 * blocks happens on the pool or the ledger's thread and comes back by loop_post.
 */
#ifndef PIPELINE_REQ_H
#define PIPELINE_REQ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/admission.h"
#include "policy/action.h"
#include "policy/decision.h"

struct arena;
struct loop;
struct net_peer;
struct pipeline;
struct req;
struct snapshot;
struct trace;

enum req_step {
#define X(id, name, next) id,
#include "pipeline/step_tbl.h"
#undef X
	STEP__MAX
};

enum req_error {
#define X(id, status, code, retry_after) id,
#include "pipeline/error_tbl.h"
#undef X
	REQ_ERROR__MAX
};

enum req_operation {
	REQ_OP_ACTION = 0, /* decide, record, carry out or authorise */
	REQ_OP_EXPLAIN,    /* decide only: no record, no effect */
	REQ_OP_REPORT,     /* the outcome of an action that the caller carried out */
};

/* What identifies the caller, as it came over the wire; empty spans when absent. All borrowed until done. */
struct req_credentials {
	struct span authorization; /* "Bearer ..." */
	struct span service_id;
	struct span service_signature;
	struct span agent_id;
	struct span agent_signature;
	/* What signatures of version 2 cover beside the body (decisions 39). */
	struct span method;
	struct span target; /* path with query, as on the request line */
	struct span timestamp;
	struct span nonce;
	struct span idempotency_key;
	/* Signatures are checked, and neither the time nor the nonce: that was done when this request came, or will be when
	 * all of it is here. */
	bool keeps_nonce;
	const struct net_peer *peer; /* NULL: none, as of tests */
	/* Numeric; of the client, as far as it is known: behind trusted proxies what they say. */
	struct span client_address;
};

struct req_input {
	enum req_operation operation;
	struct req_credentials credentials;
	struct span body; /* exact bytes: what signatures cover */
	struct span request_id;
	struct span media_type; /* Content-Type value or empty */
	/* Idempotency-Key value; p is NULL when absent. Read before the first wait. */
	struct span idempotency_key;
	/* Of an approval, from the plane itself and not from the body, in whose place it is used; or empty. */
	struct span approval_id;
	/* Gets the steps and what they came to; the plane's again when done is called. NULL: nobody wants to know. */
	struct trace *trace;
};

struct req_result {
	enum req_error error;        /* REQ_DECIDED: the members below hold; else message */
	struct span message;         /* the text after "code: "; never a host path */
	uint32_t retry_after_s;      /* 0: no Retry-After */
	const struct action *action; /* NULL before parse */
	enum verdict verdict;
	enum reason reason;
	const struct obligations *obligations; /* NULL when none */
	bool has_fingerprint;
	bool is_replayed; /* the answer that an earlier request with the same Idempotency-Key got */
	bool is_external; /* execution_mode external_authorized */
	bool has_output;
	bool truncated;
	bool has_bytes_written;
	struct span output; /* redacted and capped text */
	int64_t bytes_written;
	struct span explain;         /* REQ_OP_EXPLAIN: the whole JSON object */
	struct span report;          /* REQ_OP_REPORT: likewise */
	struct span approval_id;     /* used or asked for; empty: none */
	const char *approval_status; /* of REQUIRE_APPROVAL; else "" or NULL */
	int64_t approval_expires_wall_ns;
	uint64_t seq;            /* of the intent in the ledger; 0 when none */
	const char *policy_hash; /* of the policy in force for it */
};

/* Called once, on the request's loop, possibly before req_start returns. The result and all it refers to live until
 * req_free. */
typedef void (*req_done_fn)(struct req *r, const struct req_result *result, void *arg);

/* On the loop's thread. Takes a snapshot reference of its own. NULL when memory is out. */
MUSTCHECK struct req *req_new(
	struct pipeline *p, struct snapshot *s, struct loop *loop, req_done_fn done, void *arg);
/* The request's arena, for what the plane builds around it (input copies, the reply). */
struct arena *req_get_arena(struct req *r);
/* False when so many requests of the loop wait for the ledger that more would only wait there, where nobody is let past.
 * Each of them is answered, so it becomes true again. On the loop's thread. */
bool req_may_begin(const struct pipeline *p, const struct loop *loop);
/* Copies nothing: input and its spans live until req_free. */
void req_start(struct req *r, const struct req_input *input);
/* After done; releases everything. */
void req_free(struct req **r);

/* Status, code of an error. */
unsigned req_error_status(enum req_error e);
const char *req_error_code(enum req_error e);
const char *req_step_name(enum req_step s);

/*
 * Before the body is here: REQ_DECIDED when it is worth reading it, else the error that no body could avert (401, 415), counted and
 * logged, and its text. Nothing is decided: the steps look at everything again.
 */
MUSTCHECK enum req_error req_check_head(const struct snapshot *s,
	const struct req_credentials *credentials, struct span media_type, struct span request_id,
	struct span *message);

/* No media type at all is JSON too. */
bool req_is_json(struct span media_type);
#define REQ_TEXT_MEDIA_TYPE                                                                        \
	SPAN_LIT("the body must be JSON; with curl, add -H 'Content-Type: application/json'")

/*
 * Whether there is room for one more request, by the queues around it (admission.h); now_ns and ledger_ns are filled
 * in. On the thread of the admission's loop.
 */
MUSTCHECK bool req_has_room(const struct snapshot *s, const struct pipeline *p, struct admission *a,
	struct admission_wait wait);
/* Counts and logs that a request with a credential was turned away for that; the text of the answer, static. */
struct span req_note_turned_away(struct span request_id);

/* Whether a body could make these credentials valid: as req_check_head sees it, and nothing is counted. */
bool req_may_be_known(const struct snapshot *s, const struct req_credentials *credentials);
/* With the body: whether they show a principal. They are not used up, and nothing is counted. */
bool req_is_known(
	const struct snapshot *s, const struct req_credentials *credentials, struct span body);

/*
 * Who asks without a body (decisions 30): principal and agent, by what stands for a principal and the agent's name, or by
 * signatures of version 2. For looking at one's own only. ERR_AUTH. *out lives as long as the snapshot and *by, which is to be
 * dropped.
 */
struct caller;
struct identity;
MUSTCHECK enum err req_authorize_reader(const struct pipeline *p, const struct snapshot *s,
	const struct req_credentials *credentials, struct identity *out, struct caller *by);

/* Operator and view routes: what somebody may act as. Zero is nobody. */
enum role { ROLE_NOBODY = 0, ROLE_ANYONE, ROLE_VIEWER, ROLE_APPROVER, ROLE_OPERATOR };

/* Who a credential stands for, and what it may act as: never more than its principal, and less when the credential says so. */
struct token_holder;
struct caller {
	struct span principal;     /* borrowed from the snapshot, the connection or the holder */
	unsigned roles;            /* bits 1 << enum role */
	const struct span *groups; /* of a token; borrowed from the holder */
	size_t n_groups;
	struct token_holder *holder; /* counted; NULL: it was no token */
	bool is_ambient; /* the connection says so and not the request, so a browser would say it for any page */
};
/* Whoever was given a caller gives it back; it is nobody then. One that is nobody may be given back as well. */
void caller_drop(struct caller *caller);
bool caller_has_role(const struct caller *caller, enum role role);
/* Caller by API key, certificate, token or process (nomos-http.md 2.5); OK and *caller, to be dropped, or ERR_AUTH, or
 * ERR_FORBIDDEN when it lacks the role; then it is nobody. */
MUSTCHECK enum err req_authorize_operator(const struct snapshot *s,
	const struct req_credentials *credentials, enum role role, struct caller *caller);
/* What a principal may act as by its name alone: bits 1 << enum role. */
unsigned req_get_roles(const struct snapshot *s, struct span principal);

#endif
