/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See trace.h. Pure; the thread that has the trace. */
#include "outbound/trace.h"

#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/must.h"
#include "base/redact.h"

#define PARENT_BYTES 55
#define TOO_LONG SPAN_LIT("(too long)")

static const char *const names[TRACE_TEXT__MAX] = {
#define X(id, name) [id] = name,
#include "outbound/trace_text_tbl.h"
#undef X
};

const char *
trace_text_name(enum trace_text which)
{
	MUST(which < TRACE_TEXT__MAX);
	return names[which];
}

static bool
is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* VERSION-TRACE-SPAN-FLAGS; a version to come may have more behind another dash. */
bool
trace_parent_parse(struct span text, struct trace_parent *out)
{
	uint8_t version;

	if (text.n < PARENT_BYTES || text.p[2] != '-' || text.p[35] != '-' || text.p[52] != '-' ||
		!hash_unhex(span_of(text.p, 2), &version, 1) || version == 0xff)
		return false;
	if (text.n > PARENT_BYTES && (version == 0 || text.p[PARENT_BYTES] != '-'))
		return false;
	return hash_unhex(span_of(text.p + 3, 32), out->trace_id, TRACE_ID_BYTES) &&
	       hash_unhex(span_of(text.p + 36, 16), out->span_id, TRACE_SPAN_ID_BYTES) &&
	       hash_unhex(span_of(text.p + 53, 2), &out->flags, 1) &&
	       !is_zero(out->trace_id, TRACE_ID_BYTES) &&
	       !is_zero(out->span_id, TRACE_SPAN_ID_BYTES);
}

void
trace_reset(struct trace *t)
{
	/* The texts' bytes are many, and say nothing without their places. */
	memset(t, 0, offsetof(struct trace, bytes));
}

void
trace_add_span(struct trace *t, const char *name, int64_t start_ns, int64_t end_ns, bool has_failed)
{
	if (t->n_spans == TRACE_SPANS_MAX)
		return;
	_Static_assert(TRACE_SPANS_MAX <= 32, "a bit for each span");
	if (has_failed)
		t->failed |= 1u << t->n_spans;
	t->spans[t->n_spans++] = (struct trace_span){.name = name,
		.start_ns = start_ns,
		.end_ns = end_ns < start_ns ? start_ns : end_ns};
}

void
trace_go_on(struct trace *t, const char *name, int64_t end_ns)
{
	int64_t start_ns = t->n_spans > 0 ? t->spans[t->n_spans - 1].end_ns : t->start_ns;

	trace_add_span(t, name, start_ns, end_ns, false);
}

static bool
has_room(const struct trace *t, struct span text)
{
	return text.n <= TRACE_TEXT_BYTES_MAX && text.n + 1 <= TRACE_BYTES_MAX - t->n_bytes;
}

static void
put_text(struct trace *t, enum trace_text which, struct span text)
{
	if (text.n == 0)
		return;
	/* A part could end in half a secret, which nobody would recognise any more. */
	if (!has_room(t, text))
		text = TOO_LONG;
	if (!has_room(t, text))
		return;
	t->bytes[t->n_bytes++] = '\n';
	t->texts[which].at = (uint16_t)t->n_bytes;
	t->texts[which].n = (uint16_t)text.n;
	memcpy(t->bytes + t->n_bytes, text.p, text.n);
	t->n_bytes += text.n;
}

void
trace_set_text(struct trace *t, enum trace_text which, struct span text)
{
	MUST(which < TRACE_TEXT__MAX);
	if (span_eq(trace_get_text(t, which), text))
		return;
	t->texts[which].n = 0;
	put_text(t, which, text);
}

struct span
trace_get_text(const struct trace *t, enum trace_text which)
{
	MUST(which < TRACE_TEXT__MAX);
	return span_of(t->bytes + t->texts[which].at, t->texts[which].n);
}

/* One by one: at least one of them holds something. */
static void
redact_each(struct trace *t, const struct redactor *redactor)
{
	char before[TRACE_BYTES_MAX];
	struct buf clean;

	memcpy(before, t->bytes, t->n_bytes);
	t->n_bytes = 0;
	buf_init(&clean, BUF_CAP_LOG_LINE);
	for (enum trace_text i = 0; i < TRACE_TEXT__MAX; i++) {
		struct span text = span_of(before + t->texts[i].at, t->texts[i].n);

		buf_reset(&clean);
		bool has_secret = redact(redactor, text, &clean);
		t->texts[i].n = 0;
		/* A list of vendors with a hole in it would be none. */
		if (i == TRACE_STATE && has_secret)
			continue;
		put_text(t, i, buf_failed(&clean) ? SPAN_LIT("[REDACTED]") : buf_span(&clean));
	}
	buf_fini(&clean);
}

void
trace_redact(struct trace *t, const struct redactor *redactor)
{
	if (!redact_is_inert(redactor, span_of(t->bytes, t->n_bytes)))
		redact_each(t, redactor);
}
