/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer to a credential that failed: 401, or 429 when too many have failed from its address lately. Behind a trusted proxy that
 * did not say whom it speaks for stand many clients, so its own address is not limited. Worker's thread.
 */
#include "routes.h"

#include "base/metric.h"
#include "pipeline/pipeline.h"

static uint32_t
note_failure(const struct http_request *http, struct worker *worker)
{
	if (http_request_is_of_proxy(http))
		return 0;
	return pipeline_note_failed_auth(worker_get_pipeline(worker), worker_get_snapshot(worker),
		exchange_get_credentials(http).client_address);
}

bool
reply_too_many_failures(struct http_request *http, struct worker *worker)
{
	uint32_t wait_s = note_failure(http, worker);

	if (wait_s == 0)
		return false;
	metric_add(METRIC_AUTH_LIMITED, 1);
	reply_error(http, 429, "rate_limited",
		SPAN_LIT("too many failed authentications from this address"), wait_s);
	return true;
}

void
reply_unauthenticated(
	struct http_request *http, struct worker *worker, const char *code, struct span message)
{
	if (!reply_too_many_failures(http, worker))
		reply_error(http, 401, code, message, 0);
}
