/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns a parsed action into what is judged and carried out: resource in normal form, typed parameters, hashes, risk. Each is made
 * once; neither rules nor executors look at the request text again. Pure; any thread.
 */
#include "base/arena.h"
#include "fingerprint.h"
#include "params.h"
#include "policy/action.h"

#define LARGE_IO_BYTES 32768

static const uint32_t KIND_RISKS[ACTION_KIND__MAX] = {
	[ACTION_FS_WRITE] = RISK_WRITE,
	[ACTION_REPO_APPLY_PATCH] = RISK_WRITE,
	[ACTION_PROCESS_EXEC] = RISK_EXEC,
	[ACTION_NET_HTTP_REQUEST] = RISK_NET,
	[ACTION_SECRETS_CHECKOUT] = RISK_SECRETS,
};

static bool
is_complete(const struct identity *identity)
{
	return span_trim(identity->principal).n > 0 && span_trim(identity->agent).n > 0 &&
	       span_trim(identity->environment).n > 0;
}

enum err
action_normalize(
	struct action *action, const struct identity *identity, struct arena *a, struct errinfo *ei)
{
	/* An action that fails here has no hash under which it could be approved. */
	action->fingerprint[0] = '\0';
	action->binding_hash[0] = '\0';
	if (!is_complete(identity))
		return ERR(ei, ERR_INVALID, "verified identity is required");
	action->identity = *identity;
	enum err rc = resource_normalize(
		action->resource_raw, action->kind == ACTION_CUSTOM, a, &action->resource, ei);
	if (rc == OK)
		rc = fingerprint_set(action, a, ei);
	if (rc == OK)
		rc = params_set(action, a, ei);
	if (rc != OK)
		return rc;
	action->risk = KIND_RISKS[action->kind];
	if (action->params_canonical.n >= LARGE_IO_BYTES)
		action->risk |= RISK_LARGE_IO;
	return OK;
}
