/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* An action file and the bundles it is judged by, as the policy commands load them. One thread. */
#ifndef CLI_POLICY_CASE_H
#define CLI_POLICY_CASE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "options.h"
#include "policy/action.h"

struct arena;
struct policy;

struct policy_case {
	struct arena *arena;
	struct buf text;
	struct loaded_config *config;
	struct pipeline_options options;
	struct policy *policy;
	struct action *action;
	struct identity identity;
};

/*
 * Loads the bundles (a comma list, or those of the configuration) and, unless action is NULL, the normalised action. Without a
 * configuration the environment alone says how (NOMOS_POLICY_*, NOMOS_RUNTIME_*). Free *c also on failure. ERR_NORMALIZE when it is
 * the resource that has no normal form.
 */
MUSTCHECK enum err policy_case_load(struct policy_case *c, const char *action, const char *config,
	const char *bundles, struct errinfo *ei);
void policy_case_free(struct policy_case *c);

#endif
