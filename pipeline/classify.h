/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the end of a request is called in records, counters and traces (nomos-policy.md 2.14). All names are static. Pure; where the
 * request is.
 */
#ifndef PIPELINE_CLASSIFY_H
#define PIPELINE_CLASSIFY_H

#include <stdbool.h>

#include "exec/exec.h"

struct req;

struct result_class {
	const char *name;
	bool is_retryable;
};

/* Of a request that was decided and of which nothing is carried out. */
struct result_class classify_decision(const struct req *r);
/* Of what an executor came to. */
struct result_class classify_outcome(const struct exec_job *job);
/* The name of the one of both that holds for a request which is to be answered; NULL: nothing was judged. */
const char *classify_request(const struct req *r);

/* Why it was decided so. */
const char *decision_reason(const struct req *r);
/* "succeeded", "failed", "unknown". */
const char *outcome_name(enum exec_status status);
/* The reason of a completed action: the decision's, or why there is no result. */
const char *outcome_reason(const struct req *r);

#endif
