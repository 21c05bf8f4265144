/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The table of `telemetry`, its check in the reference's words (nomos-http.md 3.3), and what it comes to. Start-up and reload. */
#include "base/clock.h"
#include "base/log.h"
#include "config/load.h"
#include "net/http_client.h"
#include "outbound/telemetry.h"
#include "runtime/options.h"

/* "otlp:BASE_URL"; false when the sink is something else. */
static bool
read_otlp(struct span sink, struct span *base)
{
	if (!span_starts(sink, SPAN_LIT("otlp:")))
		return false;
	*base = span_from(sink, 5);
	return true;
}

static bool
is_sink(struct span sink)
{
	struct span base;
	struct errinfo ei;

	if (span_eq_cstr(sink, "stdout") || span_eq_cstr(sink, "stderr"))
		return true;
	return read_otlp(sink, &base) && http_client_check_url(base, &ei) == OK &&
	       span_find(base, '?') == base.n && span_find(base, '#') == base.n;
}

/* Those that say how the body is to be read are ours. */
static bool
is_own_header(struct span name)
{
	static const struct span own[] = {{"Host", 4}, {"Content-Type", 12}, {"Content-Length", 14},
		{"Content-Encoding", 16}, {"Transfer-Encoding", 17}};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (span_eq_nocase(name, own[i]))
			return true;
	return false;
}

static void
check_telemetry(void *options, struct config_scope *scope)
{
	const struct telemetry_section *t = options;

	if (t->enabled && !is_sink(t->sink))
		config_fail(
			scope, "sink", "telemetry.sink must be stdout, stderr, or otlp:<base_url>");
	for (size_t i = 0; i < t->headers.n; i++) {
		const struct config_pair *h = &t->headers.v[i];

		if (!http_is_token(h->key) || is_own_header(h->key) || h->value.n == 0 ||
			!http_is_header_value(h->value))
			config_fail(scope, "headers",
				"header %zu of telemetry.headers cannot be sent", i + 1);
	}
}

static const config_check_fn telemetry_checks[] = {check_telemetry, NULL};

CONFIG_OBJECT(telemetry_section, TELEMETRY_ROWS, .prose = "Traces and metrics for a collector.",
	.checks = telemetry_checks);

static const char *
path_or_null(struct span path)
{
	return path.n > 0 ? path.p : NULL;
}

static void
warn_of_held(const struct telemetry_section *t, int64_t n_held_max)
{
	if (t->queue_max < 2 * n_held_max)
		log_warn(NULL,
			"telemetry.queue_max (%lld) is less than twice approvals.max_waiting "
			"(%lld): requests that are "
			"held keep their places, and others may not be traced",
			(long long)t->queue_max, (long long)n_held_max);
}

enum err
telemetry_section_build(const struct telemetry_section *t, int64_t n_held_max,
	struct telemetry **out, struct errinfo *ei)
{
	struct http_header headers[TELEMETRY_HEADERS_MAX];
	struct telemetry_options o = {
		.sink = span_eq_cstr(t->sink, "stderr") ? TELEMETRY_STDERR : TELEMETRY_STDOUT,
		.headers = headers,
		.ca_file = path_or_null(t->ca_file),
		.cert_file = path_or_null(t->cert_file),
		.key_file = path_or_null(t->key_file),
		.timeout_ns = t->timeout_ms * NS_PER_MS,
		.gzip = t->gzip,
		.queue_max = (size_t)t->queue_max,
		.sample_one_in = (uint64_t)t->sample_one_in,
	};

	*out = NULL;
	if (!t->enabled)
		return OK;
	warn_of_held(t, n_held_max);
	if (read_otlp(t->sink, &o.base_url))
		o.sink = TELEMETRY_OTLP;
	for (; o.n_headers < t->headers.n; o.n_headers++)
		headers[o.n_headers] = (struct http_header){
			t->headers.v[o.n_headers].key, t->headers.v[o.n_headers].value};
	enum err rc = telemetry_new(&o, out, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "telemetry");
}
