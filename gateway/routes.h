/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The handlers behind route_tbl.h and what they share; private to the HTTP plane. Worker's thread. */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include "base/span.h"
#include "net/http_server.h"
#include "pipeline/req.h"
#include "pipeline/session.h"
#include "policy/identity.h"
#include "route_match.h"
#include "runtime/runtime.h"

struct arena;
struct buf;

/* Zero is nobody; AGENT leaves authentication of principal and agent to the pipeline. */
enum access {
	ACCESS_NOBODY = 0,
	ACCESS_PUBLIC,
	ACCESS_AGENT,
	ACCESS_READER, /* an agent by its name, and the API key of its principal: looks at its own */
	ACCESS_PRINCIPAL, /* any principal; the handler says what it may do */
	ACCESS_VIEWER,
	ACCESS_APPROVER,
	ACCESS_OPERATOR,
	/* Relays, by a token of their own; without one configured the route does not exist. */
	ACCESS_WEBHOOK,
	ACCESS_SLACK,
	ACCESS_TEAMS
};

/* What a handler gets; lives for the call. */
struct exchange {
	struct http_request *http;
	struct worker *worker;
	bool is_early;            /* the body is not here yet */
	struct caller caller;     /* of an operator route; this turn only */
	struct identity identity; /* of a READER route; as long */
	struct session session;   /* zero unless a cookie stood for the API key */
	struct span id;           /* what stands for {id} in the path, decoded; this turn only */
	char id_bytes[ROUTE_ID_BYTES_MAX];
};

void api_action(const struct exchange *x);
void api_explain(const struct exchange *x);
void api_report(const struct exchange *x);
void api_settle(const struct exchange *x);
void api_reload(const struct exchange *x);
void api_reload_preview(const struct exchange *x);
void api_metrics(const struct exchange *x);
void api_approval(const struct exchange *x);
void api_approvals_decide(const struct exchange *x);
void api_ui_approvals(const struct exchange *x);
void api_ui_approval(const struct exchange *x);
void api_ui_approvals_decide(const struct exchange *x);
void api_webhook(const struct exchange *x);
void api_webhook_slack(const struct exchange *x);
void api_webhook_teams(const struct exchange *x);
void api_healthz(const struct exchange *x);
void api_readyz(const struct exchange *x);
void api_version(const struct exchange *x);
void api_openapi(const struct exchange *x);
void api_ui_redirect(const struct exchange *x);
void api_ui_index(const struct exchange *x);
void api_ui_file(const struct exchange *x);
void api_approval_events(const struct exchange *x);
void api_ui_stream(const struct exchange *x);
void api_ui_sign_in(const struct exchange *x);
void api_ui_session(const struct exchange *x);
void api_ui_sign_out(const struct exchange *x);
void api_ui_records(const struct exchange *x);
void api_ui_record(const struct exchange *x);
void api_ui_verify(const struct exchange *x);
void api_ui_export(const struct exchange *x);
void api_ui_traces(const struct exchange *x);
void api_ui_trace(const struct exchange *x);
void api_ui_action(const struct exchange *x);
void api_ui_readiness(const struct exchange *x);
void api_ui_overview(const struct exchange *x);
void api_ui_policy(const struct exchange *x);
void api_ui_rules(const struct exchange *x);
void api_ui_explain(const struct exchange *x);
void api_ui_limits(const struct exchange *x);
void api_ui_upstreams(const struct exchange *x);

/* The credentials of a request, borrowed from it. */
struct req_credentials exchange_get_credentials(const struct http_request *http);

/*
 * ui_session.c: the principal by session cookie, for a request without an Authorization line, to x->principal and x->session.
 * ERR_AUTH; ERR_FORBIDDEN when it would change something and is not shown to come from our page. *why is static.
 */
MUSTCHECK enum err exchange_find_session(struct exchange *x, const char **why);

/* Whether there is a cookie of a session, valid or not. */
bool exchange_has_cookie(const struct http_request *http);
/* Whether a page of another host had a browser send it: what a browser shows of its own accord then counts for nothing. */
bool exchange_is_foreign(const struct http_request *http);
/* Whether the caller of an open stream still holds the role, by the current snapshot; no use of a session. */
bool exchange_may_stay(const struct http_request *http, struct worker *worker, enum role role);

/* reply.c: the error body of nomos-http.md 1.2: {"decision":"DENY","reason":"code: message"}, with Retry-After when not 0. */
void reply_error(struct http_request *http, unsigned status, const char *code, struct span message,
	uint32_t retry_after_s);
/* refusal.c: a credential failed. Answers 429 when the client's address has failed too often; false: it has not, and nothing
 * was answered. */
MUSTCHECK bool reply_too_many_failures(struct http_request *http, struct worker *worker);
/* The same, and 401 otherwise. */
void reply_unauthenticated(
	struct http_request *http, struct worker *worker, const char *code, struct span message);
/* JSON that only its reader may keep: not stored by any cache. */
void reply_json(struct http_request *http, unsigned status, struct span body);
/* JSON that is nobody's secret, from a buffer; 503 when memory was out while it was built. */
void reply_built(struct http_request *http, unsigned status, const struct buf *body);
/* A reply that only its reader may keep: not stored by any cache, n_extra more headers (at most REPLY_EXTRA_MAX). */
#define REPLY_EXTRA_MAX 4
void reply_private(struct http_request *http, unsigned status, const struct http_header *extra,
	size_t n_extra, const struct buf *body);
/* The result of /action, /run and /explain, with the trace context echoed and n_extra more headers (at most REPLY_EXTRA_MAX). */
void reply_result(struct http_request *http, struct arena *a, const struct req_result *result,
	const struct http_header *extra, size_t n_extra);
/* A decision's body; and a reply made of one that was built before. */
void reply_build_decision(struct buf *b, const struct req_result *result);
void reply_decision(struct http_request *http, const struct http_header *extra, size_t n_extra,
	struct span body);

/* api_action.c: the action that the deferred request asks for, on its way through the pipeline with that approval. False when memory is out. */
MUSTCHECK bool action_start(struct http_request *http, struct worker *worker,
	struct span approval_id, req_done_fn done, void *arg);

/* trace_context.c: the headers to send back (nomos-http.md 8); 0 to 2 of them, spans borrowed from the request. */
#define TRACE_HEADERS_MAX 2
size_t trace_context_echo(
	const struct http_request *http, struct http_header out[TRACE_HEADERS_MAX]);

#endif
