/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* X(ID, wire text): every reason code of a decision. Zero is the safe one. Includers define X. */
#include <stddef.h>

#ifdef X
X(REASON_DENY_BY_DEFAULT, "deny_by_default")
X(REASON_DENY_BY_RULE, "deny_by_rule")
X(REASON_DENY_BY_EXEC_MODEL_CONFLICT, "deny_by_exec_model_conflict")
X(REASON_REQUIRE_APPROVAL_BY_RULE, "require_approval_by_rule")
X(REASON_ALLOW_BY_RULE, "allow_by_rule")
X(REASON_INVALID_PARAMS, "invalid_params")
X(REASON_ALLOW_BY_APPROVAL, "allow_by_approval")
X(REASON_DENIED_BY_APPROVER, "denied_by_approver")
X(REASON_APPROVALS_LIMIT, "approvals_limit")
X(REASON_APPROVALS_UNAVAILABLE, "approvals_unavailable")
X(REASON_UNSUPPORTED_ACTION, "unsupported_action")
X(REASON_INVALID_RESOURCE, "invalid_resource")
X(REASON_SANDBOX_REQUIRED, "sandbox_required")
X(REASON_RATE_LIMIT_EXCEEDED, "RATE_LIMIT_EXCEEDED")
#endif
