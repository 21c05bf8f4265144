/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See telemetry_lines.h. */
#include "telemetry_lines.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "outbound/trace.h"
#include "result_class.h"

struct lines {
	const struct trace *trace;
	struct buf *b;
	void (*put)(struct span line, void *arg);
	void *arg;
};

static void
add_member(struct buf *b, const char *name, struct span value)
{
	if (value.n == 0)
		return;
	if (b->n > 0 && b->p[b->n - 1] != '{')
		buf_add_char(b, ',');
	buf_printf(b, "\"%s\":", name);
	json_quote(b, value);
}

static void
add_text(const struct lines *l, const char *name, enum trace_text which)
{
	add_member(l->b, name, trace_get_text(l->trace, which));
}

static void
end_line(const struct lines *l)
{
	BUF_ADD_LIT(l->b, "}}\n");
	if (!buf_failed(l->b))
		l->put(buf_span(l->b), l->arg);
	buf_reset(l->b);
}

static void
begin_event(const struct lines *l, const char *name, struct span status)
{
	BUF_ADD_LIT(l->b, "{\"signal_type\":\"trace\"");
	add_member(l->b, "event_name", span_cstr(name));
	add_text(l, "trace_id", TRACE_TRACE_ID);
	add_text(l, "correlation_id", TRACE_TRACE_ID);
	add_member(l->b, "status", status);
	BUF_ADD_LIT(l->b, ",\"attributes\":{");
}

static void
add_parent(const struct lines *l)
{
	const struct trace_parent *p = &l->trace->parent;

	if (!l->trace->has_parent)
		return;
	BUF_ADD_LIT(l->b, ",\"traceparent\":\"00-");
	buf_add_hex(l->b, p->trace_id, TRACE_ID_BYTES);
	buf_add_char(l->b, '-');
	buf_add_hex(l->b, p->span_id, TRACE_SPAN_ID_BYTES);
	buf_add_char(l->b, '-');
	buf_add_hex(l->b, &p->flags, 1);
	buf_add_char(l->b, '"');
	add_text(l, "tracestate", TRACE_STATE);
}

static void
put_request(const struct lines *l, bool is_accepted)
{
	BUF_ADD_LIT(l->b, "{\"signal_type\":\"trace\",\"event_name\":\"gateway.request\"");
	add_text(l, "trace_id", TRACE_TRACE_ID);
	add_text(l, "correlation_id", TRACE_TRACE_ID);
	add_parent(l);
	add_member(l->b, "status", is_accepted ? SPAN_LIT("accepted") : SPAN_LIT("refused"));
	BUF_ADD_LIT(l->b, ",\"attributes\":{");
	add_text(l, "action_id", TRACE_ACTION_ID);
	add_text(l, "action_type", TRACE_ACTION_TYPE);
	add_text(l, "error", TRACE_ERROR);
	add_member(l->b, "transport", SPAN_LIT("http"));
	end_line(l);
}

static void
put_start(const struct lines *l)
{
	begin_event(l, "request.lifecycle", SPAN_NONE);
	add_member(l->b, "phase", SPAN_LIT("start"));
	add_text(l, "action_id", TRACE_ACTION_ID);
	add_text(l, "action_type", TRACE_ACTION_TYPE);
	add_text(l, "resource", TRACE_RESOURCE);
	add_text(l, "environment", TRACE_ENVIRONMENT);
	add_text(l, "principal", TRACE_PRINCIPAL);
	add_text(l, "agent", TRACE_AGENT);
	add_text(l, "assurance_level", TRACE_ASSURANCE);
	end_line(l);
}

static void
put_evaluation(const struct lines *l)
{
	struct span ids = trace_get_text(l->trace, TRACE_RULE_IDS);

	begin_event(l, "policy.evaluation", trace_get_text(l->trace, TRACE_DECISION));
	BUF_ADD_LIT(l->b, "\"matched_rule_ids\":[");
	for (bool is_first = true; ids.n > 0; is_first = false) {
		size_t n = span_find(ids, '\n');

		if (!is_first)
			buf_add_char(l->b, ',');
		json_quote(l->b, span_of(ids.p, n));
		ids = span_from(ids, n < ids.n ? n + 1 : n);
	}
	buf_add_char(l->b, ']');
	add_text(l, "policy_bundle_hash", TRACE_POLICY_HASH);
	end_line(l);
}

static void
put_end(const struct lines *l)
{
	begin_event(l, "request.lifecycle", SPAN_NONE);
	add_member(l->b, "phase", SPAN_LIT("end"));
	add_text(l, "decision", TRACE_DECISION);
	add_text(l, "result", TRACE_RESULT);
	end_line(l);
}

static void
put_run(const struct lines *l)
{
	begin_event(l, "executor.run", trace_get_text(l->trace, TRACE_RESULT));
	add_text(l, "action_id", TRACE_ACTION_ID);
	add_text(l, "action_type", TRACE_ACTION_TYPE);
	end_line(l);
}

static void
begin_counter(const struct lines *l, const char *name)
{
	BUF_ADD_LIT(l->b, "{\"signal_type\":\"metric\"");
	add_member(l->b, "name", span_cstr(name));
	BUF_ADD_LIT(l->b, ",\"kind\":\"counter\",\"value\":1");
	add_text(l, "trace_id", TRACE_TRACE_ID);
	BUF_ADD_LIT(l->b, ",\"attributes\":{");
}

static void
put_result(const struct lines *l, const char *name)
{
	begin_counter(l, name);
	add_text(l, "result", TRACE_RESULT);
	end_line(l);
}

static void
put_limit(const struct lines *l)
{
	begin_counter(l, "nomos.rate_limits");
	add_member(l->b, "result", span_cstr(l->trace->rate_result));
	add_text(l, "rule_id", TRACE_RATE_RULE);
	add_member(l->b, "scope", span_cstr(l->trace->rate_scope));
	add_text(l, "action_type", TRACE_ACTION_TYPE);
	add_text(l, "principal", TRACE_PRINCIPAL);
	end_line(l);
}

static void
put_counters(const struct lines *l)
{
	struct span result = trace_get_text(l->trace, TRACE_RESULT);

	if (l->trace->rate_result != NULL)
		put_limit(l);
	begin_counter(l, "nomos.decisions");
	add_text(l, "decision", TRACE_DECISION);
	add_text(l, "result", TRACE_RESULT);
	end_line(l);
	if (result_is_approval(result))
		put_result(l, "nomos.approvals");
	if (result_is_failure(result))
		put_result(l, "nomos.failures");
	if (result_is_retried(result))
		put_result(l, "nomos.retries");
}

static void
put_events(const struct lines *l)
{
	bool is_action = trace_get_text(l->trace, TRACE_ACTION_ID).n > 0;

	put_request(l, is_action);
	if (!l->trace->is_action)
		return;
	put_start(l);
	if (trace_get_text(l->trace, TRACE_DECISION).n > 0)
		put_evaluation(l);
	if (l->trace->is_executed)
		put_run(l);
	put_end(l);
}

void
telemetry_lines_build(
	const struct trace *t, struct buf *b, void (*put)(struct span line, void *arg), void *arg)
{
	const struct lines l = {.trace = t, .b = b, .put = put, .arg = arg};

	buf_reset(b);
	if (t->is_sampled)
		put_events(&l);
	if (t->is_action)
		put_counters(&l);
}
