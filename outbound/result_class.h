/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Which counters the result of an action leads to (nomos-http.md 8). Pure. */
#ifndef OUTBOUND_RESULT_CLASS_H
#define OUTBOUND_RESULT_CLASS_H

#include <stdbool.h>

#include "base/span.h"

static inline bool
result_is_approval(struct span result)
{
	return span_eq_cstr(result, "APPROVAL_REQUIRED");
}

static inline bool
result_is_failure(struct span result)
{
	return span_eq_cstr(result, "INTERNAL_ERROR") || span_eq_cstr(result, "UPSTREAM_ERROR") ||
	       span_eq_cstr(result, "EXEC_TIMEOUT");
}

static inline bool
result_is_retried(struct span result)
{
	return result_is_approval(result) || result_is_failure(result);
}

#endif
