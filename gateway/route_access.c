/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See route_access.h. 401 is for who cannot be known, 403 for who is known and may not; a relay that is not configured is a route that does not
 * exist.
 */
#include "route_access.h"

#include "base/metric.h"
#include "pipeline/approvals.h"
#include "pipeline/snapshot.h"
#include "route_table.h"

enum role
route_access_role(enum access access)
{
	switch (access) {
	case ACCESS_PRINCIPAL:
		return ROLE_ANYONE;
	case ACCESS_VIEWER:
		return ROLE_VIEWER;
	case ACCESS_APPROVER:
		return ROLE_APPROVER;
	case ACCESS_OPERATOR:
		return ROLE_OPERATOR;
	case ACCESS_NOBODY:
	case ACCESS_PUBLIC:
	case ACCESS_AGENT:
	case ACCESS_READER:
	case ACCESS_WEBHOOK:
	case ACCESS_SLACK:
	case ACCESS_TEAMS:
		break;
	}
	return ROLE_NOBODY;
}

static bool
admit_reader(struct exchange *x)
{
	struct req_credentials credentials = exchange_get_credentials(x->http);

	credentials.keeps_nonce = x->is_early;
	if (req_authorize_reader(worker_get_pipeline(x->worker), worker_get_snapshot(x->worker),
		    &credentials, &x->identity, &x->caller) == OK)
		return true;
	metric_add(METRIC_AUTH_FAILED, 1);
	reply_unauthenticated(x->http, x->worker, "auth_error",
		SPAN_LIT("an API key and the X-Nomos-Agent-Id of an agent of its principal are "
			 "needed"));
	return false;
}

static bool
admit_relay(const struct exchange *x, enum approval_channel channel, struct span header,
	struct span why)
{
	const struct snapshot *s = worker_get_snapshot(x->worker);

	if (!approvals_has_relay(s, channel)) {
		reply_error(x->http, 404, "not_found", SPAN_LIT("no such route"), 0);
		return false;
	}
	if (approvals_is_relay(s, channel, http_request_find_header(x->http, header)))
		return true;
	metric_add(METRIC_AUTH_FAILED, 1);
	reply_unauthenticated(x->http, x->worker, "auth_error", why);
	return false;
}

static enum err
refuse_role(enum role role, const char **code, const char **why)
{
	static const char *const texts[] = {
		[ROLE_VIEWER] = "the principal has not the role viewer (identity.roles)",
		[ROLE_APPROVER] = "the principal has not the role approver (identity.roles)",
		[ROLE_OPERATOR] = "the principal has not the role operator (identity.roles)",
	};

	*code = "forbidden";
	*why = (size_t)role < ARRAY_LEN(texts) ? texts[role] : NULL;
	if (*why == NULL)
		*why = "the principal has not the role";
	return ERR_FORBIDDEN;
}

static enum err
find_by_credentials(struct exchange *x, const struct req_credentials *credentials, enum role role,
	const char **code, const char **why)
{
	enum err rc = req_authorize_operator(
		worker_get_snapshot(x->worker), credentials, role, &x->caller);

	if (rc == OK && x->caller.is_ambient && exchange_is_foreign(x->http))
		return ERR_AUTH;
	return rc == ERR_FORBIDDEN ? refuse_role(role, code, why) : rc;
}

static enum err
find_by_session(struct exchange *x, enum role role, const char **code, const char **why)
{
	enum err rc = exchange_find_session(x, why);

	if (rc == ERR_FORBIDDEN)
		*code = "csrf_error";
	if (rc != OK)
		return rc;
	return caller_has_role(&x->caller, role) ? OK : refuse_role(role, code, why);
}

/* What the request says of itself is judged alone: a cookie beside it is not looked at. Nor is the connection's own name beside a cookie. */
static enum err
find_principal(struct exchange *x, enum role role, const char **code, const char **why)
{
	struct req_credentials credentials = exchange_get_credentials(x->http);

	*code = "auth_error";
	*why = "principal authentication failed";
	if (credentials.authorization.n > 0 || !exchange_has_cookie(x->http))
		return find_by_credentials(x, &credentials, role, code, why);
	return find_by_session(x, role, code, why);
}

static bool
admit_principal(const struct route *route, struct exchange *x)
{
	const char *code;
	const char *why;
	enum err rc = find_principal(x, route_access_role(route->access), &code, &why);
	if (rc == OK)
		return true;
	if (rc == ERR_FORBIDDEN) {
		reply_error(x->http, 403, code, span_cstr(why), 0);
		return false;
	}
	metric_add(METRIC_AUTH_FAILED, 1);
	reply_unauthenticated(x->http, x->worker, code, span_cstr(why));
	return false;
}

bool
route_access_admit(const struct route *route, struct exchange *x)
{
	if (route->handle == api_metrics &&
		snapshot_has_public_metrics(worker_get_snapshot(x->worker)))
		return true;
	switch (route->access) {
	case ACCESS_PUBLIC:
	case ACCESS_AGENT:
		return true;
	case ACCESS_READER:
		return admit_reader(x);
	case ACCESS_WEBHOOK:
		return admit_relay(x, CHANNEL_WEBHOOK, SPAN_LIT("X-Nomos-Webhook-Token"),
			SPAN_LIT("invalid webhook token"));
	case ACCESS_SLACK:
		return admit_relay(x, CHANNEL_SLACK, SPAN_LIT("X-Nomos-Slack-Token"),
			SPAN_LIT("invalid slack token"));
	case ACCESS_TEAMS:
		return admit_relay(x, CHANNEL_TEAMS, SPAN_LIT("X-Nomos-Teams-Token"),
			SPAN_LIT("invalid teams token"));
	case ACCESS_NOBODY:
	case ACCESS_PRINCIPAL:
	case ACCESS_VIEWER:
	case ACCESS_APPROVER:
	case ACCESS_OPERATOR:
		break;
	}
	return admit_principal(route, x);
}
