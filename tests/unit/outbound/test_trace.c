/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Traces: whose they join, what they keep, and how they are written for a collector and as lines. */
#include "outbound/trace.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "otlp_metric.h"
#include "otlp_trace.h"
#include "support/test.h"
#include "telemetry_lines.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define ZEROS "00000000000000000000000000000000"

TEST(which_parents_are_joined)
{
	static const struct {
		const char *text;
		bool is_joined;
	} rows[] = {
		{"00-" ID "-" SPAN "-01", true},
		{"00-" ID "-" SPAN "-00", true},
		{"00-" ID "-" SPAN "-ff", true},
		{"fe-" ID "-" SPAN "-01", true},
		{"fe-" ID "-" SPAN "-01-more", true},
		{"fe-" ID "-" SPAN "-01more", false},
		{"00-" ID "-" SPAN "-01-", false},
		{"ff-" ID "-" SPAN "-01", false},
		{"00-" ZEROS "-" SPAN "-01", false},
		{"00-" ID "-0000000000000000-01", false},
		{"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false},
		{"00-" ID "-" SPAN "-0", false},
		{"00-" ID "-" SPAN "_01", false},
		{"00-" ID "-" SPAN "-0g", false},
		{"", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct trace_parent p;

		if (trace_parent_parse(span_cstr(rows[i].text), &p) != rows[i].is_joined)
			FAIL("%s", rows[i].text);
	}
}

TEST(texts_are_replaced_and_none_is_cut)
{
	static struct trace t;
	char text[TRACE_TEXT_BYTES_MAX + 1];

	memset(text, 'x', sizeof(text));
	trace_reset(&t);
	trace_set_text(&t, TRACE_REASON, SPAN_LIT("first"));
	trace_set_text(&t, TRACE_REASON, SPAN_LIT("second"));
	CHECK_SPAN(trace_get_text(&t, TRACE_REASON), "second");
	trace_set_text(&t, TRACE_REASON, SPAN_NONE);
	CHECK_INT(trace_get_text(&t, TRACE_REASON).n, 0);
	trace_set_text(&t, TRACE_RESOURCE, span_of(text, sizeof(text)));
	CHECK_SPAN(trace_get_text(&t, TRACE_RESOURCE), "(too long)");
	/* Until nothing has room, not even that. */
	for (enum trace_text i = 0; i < TRACE_TEXT__MAX; i++)
		trace_set_text(&t, i, span_of(text, 200 + i));
	CHECK(t.n_bytes <= TRACE_BYTES_MAX);
	CHECK_INT(trace_get_text(&t, TRACE_STATE).n, 0);
	CHECK_INT(trace_get_text(&t, TRACE_REQUEST_ID).n, 200);
}

TEST(secrets_go_from_every_text)
{
	static struct trace t;

	for (enum trace_text i = 0; i < TRACE_TEXT__MAX; i++) {
		trace_reset(&t);
		trace_set_text(&t, TRACE_REQUEST_ID, SPAN_LIT("req_1"));
		trace_set_text(&t, i, SPAN_LIT("a/AKIAABCDEFGHIJKLMNOP"));
		trace_redact(&t, redactor_default());
		CHECK_SPAN(trace_get_text(&t, i), i == TRACE_STATE ? "" : "a/[REDACTED]");
		if (i != TRACE_REQUEST_ID)
			CHECK_SPAN(trace_get_text(&t, TRACE_REQUEST_ID), "req_1");
	}
}

TEST(spans_are_bounded_and_never_end_before_they_start)
{
	static struct trace t;

	trace_reset(&t);
	t.start_ns = 100;
	trace_go_on(&t, "a", 90);
	CHECK_INT(t.spans[0].start_ns, 100);
	CHECK_INT(t.spans[0].end_ns, 100);
	trace_add_span(&t, "b", 100, 120, true);
	CHECK_INT(t.failed, 2);
	for (size_t i = 0; i < 2 * TRACE_SPANS_MAX; i++)
		trace_go_on(&t, "c", 130 + (int64_t)i);
	CHECK_INT(t.n_spans, TRACE_SPANS_MAX);
	CHECK_INT(t.spans[2].start_ns, 120);
}

static void
fill(struct trace *t)
{
	trace_reset(t);
	t->is_sampled = true;
	t->is_action = true;
	t->method = "POST";
	t->route = "/action";
	t->status = 503;
	t->start_ns = 1000;
	t->end_ns = 5000;
	t->wall_offset_ns = INT64_C(1700000000000000000);
	t->ledger_seq = UINT64_C(9007199254740993);
	trace_set_text(t, TRACE_RESULT, SPAN_LIT("INTERNAL_ERROR"));
	trace_set_text(t, TRACE_ACTION_ID, SPAN_LIT("a\"b"));
	trace_set_text(t, TRACE_RULE_IDS, SPAN_LIT("r1\nr2\n"));
	trace_set_text(t, TRACE_STATE, SPAN_LIT("v=1"));
	trace_add_span(t, "commit", 1000, 4000, true);
}

static const struct json *
parse(struct span text, struct arena *a)
{
	const struct json *root = NULL;
	struct errinfo ei;

	if (json_parse(text, a, &root, NULL, &ei) != OK)
		FAIL("%s: %.*s", ei.msg, SPAN_ARG(text));
	return root;
}

/* The first element below each list. */
static const struct json *
find_first(const struct json *o, const char *name)
{
	const struct json *v = json_find_cstr(o, name);

	return v != NULL ? v->first : NULL;
}

static void
check_member(const struct json *o, const char *name, const char *want)
{
	const struct json *v = json_find_cstr(o, name);

	if (v == NULL)
		FAIL("no member %s", name);
	else
		CHECK_SPAN(v->text, want);
}

TEST(a_trace_for_a_collector)
{
	static struct trace t;
	struct arena *a = arena_new(1024 * 1024);
	struct errinfo ei;
	struct buf b;

	fill(&t);
	t.has_parent = trace_parent_parse(SPAN_LIT("00-" ID "-" SPAN "-01"), &t.parent);
	buf_init(&b, BUF_CAP_RECORD);
	otlp_trace_begin(&b, "instance");
	CHECK_INT(otlp_trace_add(&b, &t, &ei), OK);
	otlp_trace_end(&b);
	const struct json *resource = find_first(parse(buf_span(&b), a), "resourceSpans");
	const struct json *scope = find_first(resource, "scopeSpans");
	check_member(json_find_cstr(scope, "scope"), "name", "nomos.telemetry");
	const struct json *root = find_first(scope, "spans");
	check_member(root, "traceId", ID);
	check_member(root, "parentSpanId", SPAN);
	check_member(root, "traceState", "v=1");
	check_member(root, "name", "POST /action");
	check_member(root, "kind", "2");
	check_member(root, "flags", "769");
	check_member(root, "startTimeUnixNano", "1700000000000001000");
	check_member(root, "endTimeUnixNano", "1700000000000005000");
	check_member(json_find_cstr(root, "status"), "code", "2");
	const struct json *step = root != NULL ? root->next : NULL;
	if (step == NULL) {
		FAIL("no step");
		return;
	}
	check_member(step, "name", "commit");
	check_member(step, "kind", "1");
	check_member(step, "endTimeUnixNano", "1700000000000004000");
	CHECK(span_eq(
		json_find_cstr(step, "parentSpanId")->text, json_find_cstr(root, "spanId")->text));
	CHECK(step->next == NULL);
	buf_add_char(&b, '\0');
	CHECK(strstr(b.p, "{\"key\":\"nomos.ledger_seq\",\"value\":{\"intValue\":"
			  "\"9007199254740993\"}}") != NULL);
	CHECK(strstr(b.p, "{\"key\":\"nomos.action_id\",\"value\":{\"stringValue\":\"a\\\"b\"}}") !=
		NULL);
	CHECK(strstr(b.p, "{\"arrayValue\":{\"values\":[{\"stringValue\":\"r1\"},{\"stringValue\":"
			  "\"r2\"}]}}") != NULL);
	buf_fini(&b);
	arena_free(&a);
}

static void
keep_line(struct span line, void *arg)
{
	buf_add_span(arg, line);
}

TEST(the_lines_of_a_failure)
{
	static struct trace t;
	struct buf b;
	struct buf all;

	fill(&t);
	trace_set_text(&t, TRACE_TRACE_ID, SPAN_LIT("t-1"));
	t.rate_result = "allowed";
	t.is_sampled = false;
	buf_init(&b, BUF_CAP_LOG_LINE);
	buf_init(&all, BUF_CAP_LOG_LINE);
	telemetry_lines_build(&t, &b, keep_line, &all);
	CHECK_SPAN(buf_span(&all),
		"{\"signal_type\":\"metric\",\"name\":\"nomos.rate_limits\",\"kind\":\"counter\","
		"\"value\":1,\"trace_id\":\"t-1\",\"attributes\":{\"result\":\"allowed\"}}\n"
		"{\"signal_type\":\"metric\",\"name\":\"nomos.decisions\",\"kind\":\"counter\","
		"\"value\":1,\"trace_id\":\"t-1\",\"attributes\":{\"result\":\"INTERNAL_ERROR\"}}\n"
		"{\"signal_type\":\"metric\",\"name\":\"nomos.failures\",\"kind\":\"counter\","
		"\"value\":1,\"trace_id\":\"t-1\",\"attributes\":{\"result\":\"INTERNAL_ERROR\"}}\n"
		"{\"signal_type\":\"metric\",\"name\":\"nomos.retries\",\"kind\":\"counter\","
		"\"value\":1,\"trace_id\":\"t-1\",\"attributes\":{\"result\":\"INTERNAL_ERROR\"}}"
		"\n");
	buf_fini(&all);
	buf_fini(&b);
}

#define HEAD                                                                                       \
	"{\"resourceMetrics\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\","          \
	"\"value\":{\"stringValue\":\"nomos\"}},"

TEST(metrics_for_a_collector)
{
	static const int64_t bounds[HISTOGRAM_BOUNDS] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18};
	const struct metric_label label = {"sink", SPAN_LIT("a\"b")};
	const struct histogram_view view = {.counts = {[0] = 2, [18] = 1}, .sum = 50};
	struct otlp_metric_writer w;
	struct buf b;

	buf_init(&b, BUF_CAP_RECORD);
	otlp_metric_begin(&w, &b, "instance", 100, 50);
	struct metric_writer *out = &w.writer;
	out->ops->family(out, "empty_total", METRIC_KIND_COUNTER, "none");
	out->ops->family(out, "c_total", METRIC_KIND_COUNTER, "a counter");
	out->ops->integer(out, &label, 1, 7);
	out->ops->integer(out, NULL, 0, 8);
	out->ops->family(out, "g_seconds", METRIC_KIND_GAUGE, "a gauge");
	out->ops->real(out, NULL, 0, 0.25);
	out->ops->family(out, "h_bytes", METRIC_KIND_HISTOGRAM, "a histogram");
	out->ops->histogram(out, NULL, 0, &view, bounds, 2);
	otlp_metric_end(&w);
	buf_add_char(&b, '\0');
	CHECK(strncmp(b.p, HEAD, sizeof(HEAD) - 1) == 0);
	const char *metrics = strstr(b.p, "\"metrics\":[");
	CHECK_STR(metrics,
		"\"metrics\":[{\"name\":\"c_total\",\"description\":\"a counter\",\"unit\":\"1\","
		"\"sum\":{\"dataPoints\":[{\"attributes\":[{\"key\":\"sink\",\"value\":{"
		"\"stringValue\":\"a\\\"b\"}}],\"startTimeUnixNano\":\"100\",\"timeUnixNano\":"
		"\"100\",\"asInt\":\"7\"},{\"attributes\":[],\"startTimeUnixNano\":\"100\","
		"\"timeUnixNano\":\"100\",\"asInt\":\"8\"}],\"aggregationTemporality\":2,"
		"\"isMonotonic\":true}},{\"name\":\"g_seconds\",\"description\":\"a gauge\","
		"\"unit\":\"s\",\"gauge\":{\"dataPoints\":[{\"attributes\":[],\"timeUnixNano\":"
		"\"100\",\"asDouble\":0.25}]}},{\"name\":\"h_bytes\",\"description\":\"a "
		"histogram\",\"unit\":\"By\",\"histogram\":{\"dataPoints\":[{\"attributes\":[],"
		"\"startTimeUnixNano\":\"100\",\"timeUnixNano\":\"100\",\"bucketCounts\":[\"2\","
		"\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\","
		"\"0\",\"0\",\"0\",\"0\",\"1\"],\"explicitBounds\":[0.5,1,1.5,2,2.5,3,3.5,4,4.5,"
		"5,5.5,6,6.5,7,7.5,8,8.5,9],\"count\":\"3\",\"sum\":25}],"
		"\"aggregationTemporality\":2}}]}]}]}");
	buf_fini(&b);
}

SUITE("trace", TEST_ROW(which_parents_are_joined), TEST_ROW(texts_are_replaced_and_none_is_cut),
	TEST_ROW(secrets_go_from_every_text),
	TEST_ROW(spans_are_bounded_and_never_end_before_they_start),
	TEST_ROW(a_trace_for_a_collector), TEST_ROW(the_lines_of_a_failure),
	TEST_ROW(metrics_for_a_collector))
