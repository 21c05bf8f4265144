/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* X(ID, attribute or NULL): the texts of a trace. Includers define X. */
#include <stddef.h>

#ifdef X
X(TRACE_REQUEST_ID, "nomos.request_id")
X(TRACE_ERROR, "error.type")
X(TRACE_DECISION, "nomos.decision")
X(TRACE_REASON, "nomos.reason")
X(TRACE_RESULT, "nomos.result")
X(TRACE_PRINCIPAL, "nomos.principal")
X(TRACE_AGENT, "nomos.agent")
X(TRACE_ENVIRONMENT, "nomos.environment")
X(TRACE_ACTION_TYPE, "nomos.action_type")
X(TRACE_ACTION_ID, "nomos.action_id")
X(TRACE_TRACE_ID, "nomos.trace_id")
X(TRACE_RESOURCE, "nomos.resource")
X(TRACE_POLICY_HASH, "nomos.policy_bundle_hash")
X(TRACE_ASSURANCE, "nomos.assurance_level")
X(TRACE_APPROVAL_ID, "nomos.approval_id")
X(TRACE_RATE_RULE, "nomos.rate_limit_rule_id")
X(TRACE_RULE_IDS, "nomos.matched_rule_ids") /* with a line's end behind each */
X(TRACE_STATE, NULL)                        /* tracestate, as it came */
#endif
