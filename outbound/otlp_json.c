/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See otlp_json.h. */
#include "otlp_json.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/version.h"

void
otlp_begin(struct buf *b, const struct otlp_signal *signal, const char *instance_id)
{
	const char *version = version_get()->version;

	buf_printf(b, "{\"%s\":[{\"resource\":{\"attributes\":[", signal->resources);
	otlp_add_text(b, "service.name", SPAN_LIT("nomos"));
	otlp_add_text(b, "service.version", span_cstr(version));
	otlp_add_text(b, "service.instance.id", span_cstr(instance_id));
	buf_printf(b,
		"]},\"%s\":[{\"scope\":{\"name\":\"nomos.telemetry\",\"version\":", signal->scopes);
	json_quote(b, span_cstr(version));
	buf_printf(b, "},\"%s\":[", signal->items);
}

void
otlp_end(struct buf *b)
{
	BUF_ADD_LIT(b, "]}]}]}");
}

void
otlp_add_nanos(struct buf *b, const char *name, int64_t wall_ns)
{
	buf_add_char(b, '"');
	buf_add_cstr(b, name);
	BUF_ADD_LIT(b, "\":\"");
	buf_add_int(b, wall_ns);
	BUF_ADD_LIT(b, "\",");
}

static void
begin_attribute(struct buf *b, const char *key)
{
	if (b->n > 0 && b->p[b->n - 1] != '[')
		buf_add_char(b, ',');
	BUF_ADD_LIT(b, "{\"key\":\"");
	buf_add_cstr(b, key);
	BUF_ADD_LIT(b, "\",\"value\":{");
}

void
otlp_add_text(struct buf *b, const char *key, struct span value)
{
	begin_attribute(b, key);
	BUF_ADD_LIT(b, "\"stringValue\":");
	json_quote(b, value);
	BUF_ADD_LIT(b, "}}");
}

void
otlp_add_int(struct buf *b, const char *key, int64_t value)
{
	begin_attribute(b, key);
	BUF_ADD_LIT(b, "\"intValue\":\"");
	buf_add_int(b, value);
	BUF_ADD_LIT(b, "\"}}");
}

void
otlp_add_lines(struct buf *b, const char *key, struct span value)
{
	bool has_line = false;

	begin_attribute(b, key);
	BUF_ADD_LIT(b, "\"arrayValue\":{\"values\":[");
	while (value.n > 0) {
		size_t n = span_find(value, '\n');

		if (has_line)
			buf_add_char(b, ',');
		has_line = true;
		BUF_ADD_LIT(b, "{\"stringValue\":");
		json_quote(b, span_of(value.p, n));
		buf_add_char(b, '}');
		value = span_from(value, n < value.n ? n + 1 : n);
	}
	BUF_ADD_LIT(b, "]}}}");
}
