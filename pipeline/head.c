/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the headers of a request say before its body is here: whether its credentials could still turn out valid, and
 * whether its body could be read. It refuses only what the steps would refuse too, in their words, and never
 * accepts: the steps look again at everything. Any loop.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "pipeline/admission.h"
#include "req_state.h"

bool
req_is_json(struct span media_type)
{
	struct span essence = span_of(media_type.p, span_find(media_type, ';'));

	return span_trim(media_type).n == 0 ||
	       span_eq_nocase(span_trim(essence), SPAN_LIT("application/json"));
}

/* As the steps do for what is not recorded (decisions 3). */
static void
note(enum req_error error, enum metric metric, struct span request_id, struct span message)
{
	static _Thread_local struct log_limiter limiter;
	struct log_subject about = {.request_id = request_id, .step = "head"};
	uint64_t dropped;

	metric_add(METRIC_REQUESTS_REFUSED, 1);
	metric_add(metric, 1);
	if (log_limit(&limiter, &dropped))
		log_warn(&about, "%s: %.*s (%llu more not logged)", req_error_code(error),
			SPAN_ARG(message), (unsigned long long)dropped);
}

enum req_error
req_check_head(const struct snapshot *s, const struct req_credentials *credentials,
	struct span media_type, struct span request_id, struct span *message)
{
	*message = identity_find_flaw(s->identities, credentials);
	if (message->n > 0) {
		note(REQ_ERROR_AUTH, METRIC_AUTH_FAILED, request_id, *message);
		return REQ_ERROR_AUTH;
	}
	if (!req_is_json(media_type)) {
		*message = REQ_TEXT_MEDIA_TYPE;
		note(REQ_ERROR_MEDIA_TYPE, METRIC_MEDIA_TYPE, request_id, *message);
		return REQ_ERROR_MEDIA_TYPE;
	}
	return REQ_DECIDED;
}

bool
req_has_room(const struct snapshot *s, const struct pipeline *p, struct admission *a,
	struct admission_wait wait)
{
	wait.now_ns = clock_mono_ns();
	wait.ledger_ns = pipeline_get_queue_wait(p);
	return admission_take(a, s->gateway.overload_wait_ms * NS_PER_MS, &wait);
}

bool
req_may_be_known(const struct snapshot *s, const struct req_credentials *credentials)
{
	return identity_find_flaw(s->identities, credentials).n == 0;
}

bool
req_is_known(const struct snapshot *s, const struct req_credentials *credentials, struct span body)
{
	return identity_is_known(s->identities, credentials, body);
}

struct span
req_note_turned_away(struct span request_id)
{
	struct span message = SPAN_LIT("more requests wait than can be served; nothing was done");

	note(REQ_ERROR_OVERLOADED, METRIC_SHED, request_id, message);
	return message;
}
