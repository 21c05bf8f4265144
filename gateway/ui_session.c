/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * POST, GET, DELETE /api/ui/session, and how a session cookie stands for an API key on operators' routes. The cookie is out of
 * reach of scripts and of other sites; what changes something must come from our own page and carry the token that only it
 * can know. Agents' routes never look at it. Worker's thread.
 */
#include "routes.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/secret.h"
#include "browser.h"
#include "net/peer.h"
#include "pipeline/pipeline.h"

#define COOKIE SPAN_LIT("nomos_session")
#define COOKIE_ATTRIBUTES "; Path=/; HttpOnly; SameSite=Strict"
#define COOKIE_BYTES_MAX 160
#define SESSION_ARENA_BYTES ((size_t)128 * 1024)

static struct session_table *
get_sessions(const struct exchange *x)
{
	return pipeline_get_sessions(worker_get_pipeline(x->worker));
}

/* GET and HEAD change nothing; everything else may. */
static bool
is_safe(const struct http_request *http)
{
	enum http_method method = http_request_get_method(http);

	return method == HTTP_METHOD_GET || method == HTTP_METHOD_HEAD;
}

bool
exchange_has_cookie(const struct http_request *http)
{
	return browser_get_cookie(http, COOKIE).n > 0;
}

bool
exchange_is_foreign(const struct http_request *http)
{
	return browser_get_site(http) == SITE_OTHER;
}

enum err
exchange_find_session(struct exchange *x, const char **why)
{
	enum browser_site site = browser_get_site(x->http);
	struct span token = browser_get_cookie(x->http, COOKIE);

	*why = "principal authentication failed";
	if (token.n == 0 || (is_safe(x->http) && site == SITE_OTHER))
		return ERR_AUTH;
	if (session_find(get_sessions(x), worker_get_snapshot(x->worker), token,
		    exchange_get_credentials(x->http).client_address, &x->session) != OK)
		return ERR_AUTH;
	x->caller = x->session.caller;
	if (is_safe(x->http))
		return OK;
	*why = "not from the operator page of this host";
	if (site != SITE_OWN)
		return ERR_FORBIDDEN;
	*why = "the header X-Nomos-Csrf is missing or of another session";
	return secret_eq(http_request_find_header(x->http, SPAN_LIT("X-Nomos-Csrf")),
		       span_cstr(x->session.csrf))
		       ? OK
		       : ERR_FORBIDDEN;
}

bool
exchange_may_stay(const struct http_request *http, struct worker *worker, enum role role)
{
	const struct snapshot *snapshot = worker_get_snapshot(worker);
	struct req_credentials credentials = exchange_get_credentials(http);
	struct session session;
	struct caller caller = {.principal = SPAN_NONE};
	bool may_stay = false;

	if (credentials.authorization.n > 0 || !exchange_has_cookie(http))
		may_stay = req_authorize_operator(snapshot, &credentials, role, &caller) == OK &&
			   !(caller.is_ambient && exchange_is_foreign(http));
	else if (session_peek(pipeline_get_sessions(worker_get_pipeline(worker)), snapshot,
			 browser_get_cookie(http, COOKIE), credentials.client_address,
			 &session) == OK) {
		caller = session.caller;
		may_stay = caller_has_role(&caller, role);
	}
	caller_drop(&caller);
	return may_stay;
}

static void
add_roles(const struct caller *caller, struct buf *b)
{
	static const struct {
		enum role role;
		const char *name;
	} roles[] = {
		{ROLE_VIEWER, "viewer"}, {ROLE_APPROVER, "approver"}, {ROLE_OPERATOR, "operator"}};
	bool is_first = true;

	buf_add_char(b, '[');
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		if (!caller_has_role(caller, roles[i].role))
			continue;
		if (!is_first)
			buf_add_char(b, ',');
		json_quote(b, span_cstr(roles[i].name));
		is_first = false;
	}
	buf_add_char(b, ']');
}

/* Of a caller with an API key instead of a session, expiry and token are null. */
static void
reply_session(const struct exchange *x, const struct session *s, const struct http_header *cookie)
{
	char time[CLOCK_TEXT_MAX];
	struct buf b;

	buf_init(&b, BUF_CAP_LOG_LINE);
	BUF_ADD_LIT(&b, "{\"principal\":");
	json_quote(&b, s->caller.principal);
	BUF_ADD_LIT(&b, ",\"roles\":");
	add_roles(&s->caller, &b);
	if (s->expires_wall_ns > 0) {
		clock_format(s->expires_wall_ns, time);
		buf_printf(&b, ",\"expires_at\":\"%s\",\"csrf_token\":\"%s\"}\n", time, s->csrf);
	} else {
		BUF_ADD_LIT(&b, ",\"expires_at\":null,\"csrf_token\":null}\n");
	}
	reply_private(x->http, 200, cookie, cookie != NULL ? 1 : 0, &b);
	buf_fini(&b);
}

/* The value of the body's only member; empty when the body is anything else. */
static struct span
read_api_key(struct span body, struct arena *a)
{
	const struct json *root = NULL;
	struct errinfo ei;

	if (json_parse(body, a, &root, NULL, &ei) != OK || root->type != JSON_OBJECT ||
		root->n != 1)
		return SPAN_NONE;
	const struct json *key = json_find_cstr(root, "api_key");
	return key != NULL && key->type == JSON_STRING ? key->text : SPAN_NONE;
}

static void
refuse_sign_in(const struct exchange *x)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;
	uint32_t wait_s = 0;
	bool may_try =
		session_note_failure(get_sessions(x), http_request_find_client(x->http), &wait_s);

	metric_add(METRIC_AUTH_FAILED, 1);
	if (log_limit(&limiter, &dropped))
		log_warn(NULL, "a sign-in on the operator page failed, from %.*s",
			SPAN_ARG(http_request_find_client(x->http)));
	/* Who guesses on this connection waits for it, too. */
	http_request_pause_after(x->http);
	if (may_try)
		reply_error(
			x->http, 401, "auth_error", SPAN_LIT("principal authentication failed"), 0);
	else
		reply_error(x->http, 429, "rate_limited",
			SPAN_LIT("too many failed sign-ins from this address"), wait_s);
}

/* Where a browser would not send a cookie that is only for TLS: on loopback, with no proxy in between that says otherwise. */
static bool
is_in_clear(const struct exchange *x)
{
	return runtime_is_loopback(worker_get_runtime(x->worker)) &&
	       http_request_view_peer(x->http)->kind == PEER_TCP &&
	       !http_request_is_secure(x->http);
}

static void
sign_in(const struct exchange *x, struct span api_key)
{
	char token[SESSION_TOKEN_BYTES + 1];
	char cookie[COOKIE_BYTES_MAX];
	struct session session;
	enum err rc = session_open(get_sessions(x), worker_get_snapshot(x->worker), api_key,
		exchange_get_credentials(x->http).client_address, token, &session);

	if (rc == ERR_AUTH) {
		refuse_sign_in(x);
	} else if (rc == ERR_FORBIDDEN) {
		reply_error(x->http, 403, "forbidden", SPAN_LIT("the principal has no role"), 0);
	} else if (rc != OK) {
		reply_error(x->http, 500, "internal_error", SPAN_LIT("no random numbers"), 0);
	} else {
		/* A session that this browser had is over: its cookie is about to be replaced. */
		session_close(get_sessions(x), browser_get_cookie(x->http, COOKIE));
		int n = snprintf(cookie, sizeof(cookie), "%.*s=%s%s%s", SPAN_ARG(COOKIE), token,
			COOKIE_ATTRIBUTES, is_in_clear(x) ? "" : "; Secure");
		struct http_header header = {SPAN_LIT("Set-Cookie"), span_of(cookie, (size_t)n)};
		reply_session(x, &session, &header);
		caller_drop(&session.caller);
	}
}

/* Forms of other pages cannot send this type. */
static bool
is_json_type(struct span type)
{
	return span_eq_nocase(
		span_trim(span_of(type.p, span_find(type, ';'))), SPAN_LIT("application/json"));
}

void
api_ui_sign_in(const struct exchange *x)
{
	enum browser_site site = browser_get_site(x->http);
	struct arena *a;

	if (site != SITE_UNKNOWN && site != SITE_OWN) {
		reply_error(x->http, 403, "csrf_error",
			SPAN_LIT("not from the operator page of this host"), 0);
		return;
	}
	if (!is_json_type(http_request_find_header(x->http, SPAN_LIT("Content-Type")))) {
		reply_error(x->http, 415, "validation_error", SPAN_LIT("the body must be JSON"), 0);
		return;
	}
	a = arena_new(SESSION_ARENA_BYTES);
	if (a == NULL) {
		reply_error(x->http, 503, "overloaded", SPAN_LIT("out of memory"), 1);
		return;
	}
	struct span api_key = read_api_key(http_request_get_body(x->http), a);
	if (api_key.n == 0)
		reply_error(x->http, 400, "validation_error",
			SPAN_LIT("the body must be {\"api_key\": \"...\"}"), 0);
	else
		sign_in(x, api_key);
	arena_free(&a);
}

void
api_ui_session(const struct exchange *x)
{
	struct session s = x->session;

	s.caller = x->caller;
	reply_session(x, &s, NULL);
}

void
api_ui_sign_out(const struct exchange *x)
{
	static const struct http_header headers[] = {
		{{"Set-Cookie", 10},
			{"nomos_session=; Max-Age=0" COOKIE_ATTRIBUTES,
				sizeof("nomos_session=; Max-Age=0" COOKIE_ATTRIBUTES) - 1}},
		{{"Cache-Control", 13}, {"no-store", 8}}};

	session_close(get_sessions(x), browser_get_cookie(x->http, COOKIE));
	http_request_reply(x->http, 204, headers, 2, SPAN_NONE);
}
