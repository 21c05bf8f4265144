/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is behind a request: principal, agent, environment. Both halves are proved before a nonce is used up, and the client learns
 * which of the two failed but never why; the log does. Any loop.
 */
#include "base/map.h"
#include "base/metric.h"
#include "identity/identity_rows.h"

/* Which of the two it was may be known; why may not. */
#define TEXT_PRINCIPAL "principal authentication failed"
#define TEXT_AGENT "agent authentication failed"

/* A request on its way through here. */
struct attempt {
	const struct identity_table *table;
	struct signed_request request;
	struct nonce nonces[2]; /* of signatures that were good, to be used when all else is */
	size_t n_nonces;
	const struct name_list *agents; /* that the API key is for; NULL: any */
	struct caller *by;              /* what the principal lives in */
	const char *why;
};

/* *by is nobody until somebody is found. */
static struct attempt
begin(const struct identity_table *t, const struct req_credentials *c, struct span body,
	struct caller *by)
{
	*by = (struct caller){.principal = SPAN_NONE};
	return (struct attempt){
		.table = t, .request = {.credentials = c, .body = body}, .by = by, .why = ""};
}

static bool
refuse(struct attempt *a, const char *why)
{
	a->why = why;
	return false;
}

/* Versions: those that prove something of this request. */
static bool
check_signature(struct attempt *a, enum nonce_signer kind, struct span value, unsigned versions,
	struct span *name)
{
	const struct req_credentials *c = a->request.credentials;
	bool is_agent = kind == NONCE_AGENT;
	const struct signer_table *signers = is_agent ? &a->table->agents : &a->table->services;
	struct signature signature = signature_read(value, a->table->versions & versions);
	const struct signer *signer = NULL;
	struct nonce nonce = {.kind = kind, .text = c->nonce};

	if (signature.kind == SIGNATURE_NONE)
		return refuse(
			a, "no signature of a form that is taken (identity.signature_versions)");
	if (signature.kind != SIGNATURE_V1 && !signature_read_moment(c, &nonce.time_s))
		return refuse(a, "timestamp or nonce is missing or malformed");
	if (!signature_is_valid(signers, is_agent ? c->agent_id : c->service_id, signature,
		    &a->request, &signer))
		return refuse(a, "unknown signer, or the signature is not of this request");
	*name = signer->id;
	if (signature.kind == SIGNATURE_V1)
		return true;
	nonce.signer = signer->id;
	a->nonces[a->n_nonces++] = nonce;
	return true;
}

/* Once all else is good. */
static bool
use_nonces(struct attempt *a, struct nonce_table *nonces)
{
	if (a->request.credentials->keeps_nonce)
		return true;
	for (size_t i = 0; i < a->n_nonces; i++) {
		enum nonce_verdict v = nonce_table_use(nonces, &a->table->nonces, &a->nonces[i]);

		if (v == NONCE_FRESH)
			continue;
		metric_add(METRIC_NONCES_REFUSED, 1);
		return refuse(a, nonce_verdict_text(v));
	}
	return true;
}

/* In the reference's order; the first that succeeds wins. */
static bool
find_principal(struct attempt *a, unsigned versions, struct span *principal)
{
	const struct req_credentials *c = a->request.credentials;
	bool is_service = span_trim(c->service_id).n > 0 && span_trim(c->service_signature).n > 0;
	struct grant grant;

	if (identity_find_shown(a->table, c, &grant)) {
		*a->by = grant.caller;
		*principal = a->by->principal;
		a->agents = grant.agents;
		return true;
	}
	if (is_service &&
		check_signature(a, NONCE_SERVICE, c->service_signature, versions, principal))
		return true;
	if (identity_find_process(a->table, c, a->by) == OK) {
		*principal = a->by->principal;
		return true;
	}
	return is_service ? false : refuse(a, "nothing that stands for a principal here and now");
}

/* Principals without a list may act through any agent (decisions 26). */
static bool
may_pair(struct attempt *a, struct span principal, struct span agent)
{
	const struct name_list *agents = map_find(a->table->pairs, principal);

	if (agents != NULL && !name_list_has(agents, agent))
		return refuse(a, "the principal may not act through this agent");
	if (a->agents != NULL && !name_list_has(a->agents, agent))
		return refuse(a, "the API key is not for this agent");
	return true;
}

enum err
identity_authenticate(const struct identity_table *t, struct nonce_table *nonces,
	const struct req_credentials *credentials, struct span body, struct identity *out,
	struct caller *by, const char **why, struct errinfo *ei)
{
	const unsigned versions = SIGNATURE_ALLOW_V1 | SIGNATURE_ALLOW_V2;
	struct attempt a = begin(t, credentials, body, by);
	struct identity who = {SPAN_NONE, SPAN_NONE, t->environment};
	const char *text = NULL;

	*out = (struct identity){SPAN_NONE, SPAN_NONE, SPAN_NONE};
	if (!find_principal(&a, versions, &who.principal))
		text = TEXT_PRINCIPAL;
	else if (!check_signature(
			 &a, NONCE_AGENT, credentials->agent_signature, versions, &who.agent) ||
		 !may_pair(&a, who.principal, who.agent))
		text = TEXT_AGENT;
	else if (t->environment.n == 0)
		text = "environment is required";
	else if (!use_nonces(&a, nonces))
		text = TEXT_AGENT;
	*why = a.why;
	if (text != NULL) {
		caller_drop(by);
		return ERR(ei, ERR_AUTH, "%s", text);
	}
	*out = who;
	return OK;
}

/* By its name when something else says who asks; a service's signature proves nothing of the name beside it. */
static bool
find_reading_agent(struct attempt *a, bool needs_signature, struct span *name)
{
	const struct req_credentials *c = a->request.credentials;
	const struct signer *agent = map_find(a->table->agents.by_id, span_trim(c->agent_id));

	if (needs_signature || span_starts(span_trim(c->agent_signature), SPAN_LIT("v2")))
		return check_signature(
			a, NONCE_AGENT, c->agent_signature, SIGNATURE_ALLOW_V2, name);
	if (agent == NULL)
		return refuse(a, "unknown agent");
	*name = agent->id;
	return true;
}

enum err
identity_find_reader(const struct identity_table *t, struct nonce_table *nonces,
	const struct req_credentials *credentials, struct identity *out, struct caller *by)
{
	struct attempt a = begin(t, credentials, SPAN_NONE, by);
	struct identity who = {SPAN_NONE, SPAN_NONE, t->environment};

	*out = (struct identity){SPAN_NONE, SPAN_NONE, SPAN_NONE};
	if (!find_principal(&a, SIGNATURE_ALLOW_V2, &who.principal) ||
		!find_reading_agent(&a, a.n_nonces > 0, &who.agent) ||
		!may_pair(&a, who.principal, who.agent) || !use_nonces(&a, nonces)) {
		caller_drop(by);
		return ERR_AUTH;
	}
	*out = who;
	return OK;
}

/* Whether it is a signature by its form, with what it needs beside it. */
static bool
is_wellformed(const struct identity_table *t, const struct req_credentials *c, struct span value)
{
	struct signature signature = signature_read(value, t->versions);
	int64_t seconds;

	if (signature.kind == SIGNATURE_NONE)
		return false;
	return signature.kind == SIGNATURE_V1 || signature_read_moment(c, &seconds);
}

bool
identity_is_known(
	const struct identity_table *t, const struct req_credentials *credentials, struct span body)
{
	struct caller caller;
	struct attempt a = begin(t, credentials, body, &caller);
	struct span principal;
	bool is_known = find_principal(&a, SIGNATURE_ALLOW_V1 | SIGNATURE_ALLOW_V2, &principal);

	caller_drop(&caller);
	return is_known;
}

struct span
identity_find_flaw(const struct identity_table *t, const struct req_credentials *credentials)
{
	struct caller caller;
	/* Whose names these are is not looked up: it would tell which exist. */
	bool may_be_service = span_trim(credentials->service_id).n > 0 &&
			      map_count(t->services.by_id) > 0 &&
			      is_wellformed(t, credentials, credentials->service_signature);

	bool is_known = identity_find_caller(t, credentials, &caller) == OK;

	caller_drop(&caller);
	if (!is_known && !may_be_service)
		return SPAN_LIT(TEXT_PRINCIPAL);
	if (span_trim(credentials->agent_id).n == 0 ||
		!is_wellformed(t, credentials, credentials->agent_signature))
		return SPAN_LIT(TEXT_AGENT);
	return SPAN_NONE;
}
