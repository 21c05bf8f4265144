/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The check of the collector. Nothing depends on it but what people see, so it never fails. Only a deep look asks it. One thread. */
#include "base/clock.h"
#include "doctor_checks.h"
#include "net/http_client.h"
#include "pipeline/key_ring.h"
#include "runtime/options.h"

#define PROBE_TIMEOUT_NS (2 * NS_PER_SEC)
#define OTLP "otlp:"

/* Any answer will do: this is no request that it takes. */
static enum err
ask(const struct telemetry_section *t, struct span url, struct errinfo *ei)
{
	struct http_client_options options;
	struct http_client *client = NULL;
	struct http_call call = {.is_get = true, .url = url};

	http_client_options_init(&options);
	options.connect_timeout_ns = PROBE_TIMEOUT_NS;
	options.total_timeout_ns = PROBE_TIMEOUT_NS;
	options.ca_file = t->ca_file.n > 0 ? t->ca_file.p : NULL;
	enum err rc = http_client_new(&options, &client, ei);
	if (rc == OK)
		rc = http_client_call(client, &call, ei);
	http_client_free(&client);
	return rc;
}

enum finding
check_telemetry(struct doctor *d)
{
	const struct telemetry_section *t = d->in->telemetry;
	struct errinfo ei;

	if (t == NULL || !t->enabled)
		return doctor_say(d, FINDING_PASS, "telemetry is off");
	if (!span_starts(t->sink, SPAN_LIT(OTLP)))
		return doctor_say(d, FINDING_PASS, "lines on %.*s", SPAN_ARG(t->sink));
	struct span url = span_from(t->sink, sizeof(OTLP) - 1);
	if (t->headers.n > 0 && !key_source_is_safe_url(url))
		return doctor_say(d, FINDING_ADVICE,
			"telemetry.headers cross the network in clear: telemetry.sink is http");
	if (!d->in->is_deep || d->in->is_running)
		return doctor_say(d, FINDING_PASS, "--deep asks whether it answers");
	if (ask(t, url, &ei) != OK && ei.code != ERR_TOO_LARGE)
		return doctor_say(d, FINDING_ADVICE,
			"the collector of telemetry does not answer: %s", ei.msg);
	return doctor_say(d, FINDING_PASS, "it answers");
}
