/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See classify.h. By what happened, not by words in a message. */
#include "classify.h"

#include "req_state.h"

struct result_class
classify_decision(const struct req *r)
{
	if (r->normalize_problem.n > 0)
		return (struct result_class){"NORMALIZATION_ERROR", false};
	switch (r->result.verdict) {
	case VERDICT_ALLOW:
		return (struct result_class){"SUCCESS", false};
	case VERDICT_REQUIRE_APPROVAL:
		return (struct result_class){"APPROVAL_REQUIRED", true};
	case VERDICT_DENY:
	case VERDICT__MAX:
		break;
	}
	if (r->result.reason == REASON_RATE_LIMIT_EXCEEDED)
		return (struct result_class){"RATE_LIMIT_EXCEEDED", true};
	if (r->result.reason == REASON_SANDBOX_REQUIRED)
		return (struct result_class){"SANDBOX_VIOLATION", false};
	return (struct result_class){"DENIED_POLICY", false};
}

struct result_class
classify_outcome(const struct exec_job *job)
{
	switch (job->status) {
	case EXEC_DONE:
		return (struct result_class){job->truncated ? "OUTPUT_LIMIT" : "SUCCESS", false};
	case EXEC_BAD_RESOURCE:
		return (struct result_class){"VALIDATION_ERROR", false};
	case EXEC_ESCAPE:
		return (struct result_class){"SANDBOX_VIOLATION", false};
	case EXEC_UNCERTAIN:
		return (struct result_class){"UNKNOWN", false};
	case EXEC_NOT_RUN:
	case EXEC_FAULT:
	case EXEC_NO_MEMORY:
		break;
	}
	return (struct result_class){"INTERNAL_ERROR", true};
}

const char *
classify_request(const struct req *r)
{
	/* It was begun: the outcome counts, whether the answer could tell of it or not. */
	if (r->job.settings != NULL)
		return classify_outcome(&r->job).name;
	if (r->result.error == REQ_DECIDED || r->result.error == REQ_ERROR_NORMALIZATION)
		return classify_decision(r).name;
	return NULL;
}

const char *
outcome_reason(const struct req *r)
{
	switch (r->job.status) {
	case EXEC_DONE:
		return reason_name(r->decision.reason);
	case EXEC_NOT_RUN:
		return "not_executed";
	case EXEC_BAD_RESOURCE:
	case EXEC_ESCAPE:
	case EXEC_FAULT:
	case EXEC_NO_MEMORY:
	case EXEC_UNCERTAIN:
		break;
	}
	return "execution_error";
}

const char *
outcome_name(enum exec_status status)
{
	switch (status) {
	case EXEC_DONE:
		return "succeeded";
	case EXEC_UNCERTAIN:
		return "unknown";
	case EXEC_NOT_RUN:
	case EXEC_BAD_RESOURCE:
	case EXEC_ESCAPE:
	case EXEC_FAULT:
	case EXEC_NO_MEMORY:
		break;
	}
	return "failed";
}

const char *
decision_reason(const struct req *r)
{
	return r->normalize_problem.n > 0 ? "normalization_error" : reason_name(r->result.reason);
}
