/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Walks the parameters once and writes what may be shown. The parser has bounded the depth. */
#include "approval/params_view.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/redact.h"
#include "exec/output.h"
#include "pipeline/redact_json.h"
#include "summary.h"

#define PATH_BYTES_MAX 512
#define MARK "[REDACTED]"

struct viewer {
	const struct redactor *redactor;
	struct arena *arena;
	struct buf json;
	struct buf hidden;
	struct buf path;
	size_t n_hidden;
};

/* A long path is cut; its beginning tells where to look. */
static void
add_hidden(struct viewer *v, size_t length)
{
	if (v->n_hidden++ >= PARAMS_HIDDEN_MAX)
		return;
	buf_add_cstr(&v->hidden, v->n_hidden > 1 ? ",{\"path\":" : "{\"path\":");
	json_quote(&v->hidden, buf_span(&v->path));
	BUF_ADD_LIT(&v->hidden, ",\"length\":");
	buf_add_uint(&v->hidden, length);
	buf_add_char(&v->hidden, '}');
}

/* The bytes that are not shown: what is gone, and what the marks stand for. */
static size_t
count_hidden_bytes(struct span text, struct span clean)
{
	size_t n_marks = 0;

	for (size_t i = 0; i + sizeof(MARK) - 1 <= clean.n; i++)
		if (span_starts(span_from(clean, i), SPAN_LIT(MARK)))
			n_marks++;
	size_t shown = clean.n - n_marks * (sizeof(MARK) - 1);
	return text.n > shown ? text.n - shown : 0;
}

static struct span
clean_of(struct viewer *v, struct span text)
{
	struct span clean = output_redact(v->redactor, text, v->arena);

	return clean.p == NULL && text.n > 0 ? SPAN_LIT(MARK) : clean;
}

static void
count_hidden(struct viewer *v, struct span text, struct span clean)
{
	if (!span_eq(clean, text))
		add_hidden(v, count_hidden_bytes(text, clean));
}

static void
add_text(struct viewer *v, struct span text)
{
	struct span clean = clean_of(v, text);

	count_hidden(v, text, clean);
	json_quote(&v->json, clean);
}

static size_t
enter(struct viewer *v, const struct json *parent, struct span name, size_t index)
{
	size_t before = v->path.n;

	if (parent->type == JSON_ARRAY) {
		buf_printf(&v->path, "[%zu]", index);
	} else {
		buf_add_char(&v->path, '.');
		buf_add_span(&v->path, span_of(name.p, name.n < 64 ? name.n : 64));
	}
	if (v->path.n > PATH_BYTES_MAX)
		buf_truncate(&v->path, before);
	return before;
}

static void add_value(struct viewer *v, const struct json *value);

/* Redacted names can be alike: their numbers keep them apart, or a page would show the last of them alone. */
static void
add_member(struct viewer *v, const struct json *object, const struct json *m, size_t index)
{
	struct span name = clean_of(v, m->name);
	struct redact_json_number number = redact_json_number_of(m->name, name, index);
	size_t before = enter(v, object, name, index);

	if (v->path.n > before)
		buf_add_cstr(&v->path, number.text);
	count_hidden(v, m->name, name);
	redact_json_add_name(&v->json, m->name, name, index);
	buf_add_char(&v->json, ':');
	if (is_secret_name(m->name)) {
		BUF_ADD_LIT(&v->json, "\"" MARK "\"");
		add_hidden(v, m->type == JSON_STRING ? m->text.n : m->source.n);
	} else {
		add_value(v, m);
	}
	buf_truncate(&v->path, before);
}

static void
add_array(struct viewer *v, const struct json *array)
{
	size_t i = 0;

	buf_add_char(&v->json, '[');
	for (const struct json *e = array->first; e != NULL; e = e->next, i++) {
		size_t before = enter(v, array, SPAN_NONE, i);

		if (i > 0)
			buf_add_char(&v->json, ',');
		add_value(v, e);
		buf_truncate(&v->path, before);
	}
	buf_add_char(&v->json, ']');
}

static void
add_value(struct viewer *v, const struct json *value)
{
	switch (value->type) {
	case JSON_NULL:
	case JSON_BOOL:
	case JSON_NUMBER:
		json_canonical_typed(value, &v->json);
		return;
	case JSON_STRING:
		add_text(v, value->text);
		return;
	case JSON_ARRAY:
		add_array(v, value);
		return;
	case JSON_OBJECT:
		buf_add_char(&v->json, '{');
		for (uint32_t i = 0; i < value->n; i++) {
			if (i > 0)
				buf_add_char(&v->json, ',');
			add_member(v, value, value->sorted[i], i);
		}
		buf_add_char(&v->json, '}');
		return;
	}
}

static struct span
show_resource(struct viewer *v, struct span resource)
{
	struct span clean = clean_of(v, resource);

	BUF_ADD_LIT(&v->path, "resource");
	count_hidden(v, resource, clean);
	buf_truncate(&v->path, 0);
	return clean;
}

bool
params_view_build(const struct json *params, struct span resource, const struct redactor *redactor,
	struct arena *arena, struct params_view *out)
{
	struct viewer v = {.redactor = redactor, .arena = arena};

	*out = (struct params_view){0};
	buf_init_arena(&v.json, arena, BUF_CAP_REPLY);
	buf_init_arena(&v.hidden, arena, BUF_CAP_REPLY);
	buf_init_arena(&v.path, arena, BUF_CAP_REPLY);
	buf_add_char(&v.hidden, '[');
	out->resource = show_resource(&v, resource);
	buf_add_char(&v.path, '$');
	if (params != NULL)
		add_value(&v, params);
	else
		BUF_ADD_LIT(&v.json, "null");
	buf_add_char(&v.hidden, ']');
	if (buf_failed(&v.json) || buf_failed(&v.hidden) || buf_failed(&v.path))
		return false;
	out->json = buf_span(&v.json);
	out->hidden = buf_span(&v.hidden);
	out->n_hidden = v.n_hidden;
	return true;
}
