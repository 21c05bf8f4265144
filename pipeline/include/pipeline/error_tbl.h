/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * X(ID, http status, code on the wire, Retry-After seconds or 0): how a request can end without a decision
 * (decisions 3). Planes of other protocols map the ID. Includers define X.
 */
#include <stddef.h>

#ifdef X
X(REQ_DECIDED, 200, "", 0)
X(REQ_ERROR_AUTH, 401, "auth_error", 0)
X(REQ_ERROR_RATE, 429, "rate_limited", 1)
X(REQ_ERROR_CIRCUIT, 429, "circuit_open", 1)
X(REQ_ERROR_VALIDATION, 400, "validation_error", 0)
X(REQ_ERROR_TOO_LARGE, 413, "validation_error", 0)
X(REQ_ERROR_MEDIA_TYPE, 415, "validation_error", 0)
X(REQ_ERROR_NOT_ENABLED, 400, "not_enabled", 0)
X(REQ_ERROR_NORMALIZATION, 400, "normalization_error", 0)
X(REQ_ERROR_RESOURCE, 400, "execution_error", 0)
X(REQ_ERROR_EXECUTION, 500, "execution_error", 0)
X(REQ_ERROR_AUDIT, 503, "audit_error", 1)
X(REQ_ERROR_UNRECORDED, 503, "outcome_unrecorded", 0)
X(REQ_ERROR_OVERLOADED, 503, "overloaded", 1)
X(REQ_ERROR_FORBIDDEN, 403, "forbidden", 0)
X(REQ_ERROR_KEY_IN_PROGRESS, 409, "idempotency_in_progress", 1)
X(REQ_ERROR_OUTCOME_UNKNOWN, 409, "outcome_unknown", 0)
X(REQ_ERROR_RECORD_UNKNOWN, 503, "outcome_unknown", 1)
X(REQ_ERROR_KEY_MISMATCH, 422, "idempotency_mismatch", 0)
X(REQ_ERROR_KEY_LIMIT, 429, "idempotency_limit", 60)
X(REQ_ERROR_ACTION_ID, 422, "action_id_reused", 0)
X(REQ_ERROR_REPORT_UNMATCHED, 404, "report_unmatched", 0)
X(REQ_ERROR_REPORTED, 409, "already_reported", 0)
X(REQ_ERROR_REPORT_MISMATCH, 422, "report_mismatch", 0)
X(REQ_ERROR_INTERNAL, 500, "internal_error", 0)
#endif
