/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The status of a sink as text and back. Pure. */
#include "sink_status.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

#define ARENA_BYTES ((size_t)64 * 1024)

static void
copy_text(char *out, size_t size, struct span text)
{
	size_t n = text.n < size ? text.n : size - 1;

	/* Not in the middle of a character. */
	while (n < text.n && n > 0 && ((unsigned char)text.p[n] & 0xc0u) == 0x80u)
		n--;
	if (n > 0)
		memcpy(out, text.p, n);
	out[n] = '\0';
}

void
sink_status_set_text(char out[SINK_TEXT_MAX], const char *text)
{
	copy_text(out, SINK_TEXT_MAX, span_cstr(text));
}

void
sink_status_build(const struct sink_status *s, struct buf *out)
{
	BUF_ADD_LIT(out, "{\"dead_letters\":");
	buf_add_uint(out, s->n_dead);
	BUF_ADD_LIT(out, ",\"error\":");
	json_quote(out, span_cstr(s->error));
	BUF_ADD_LIT(out, ",\"last_dead_letter\":");
	buf_add_uint(out, s->last_dead);
	BUF_ADD_LIT(out, ",\"required\":");
	buf_add_cstr(out, s->is_required ? "true" : "false");
	BUF_ADD_LIT(out, ",\"since\":");
	json_quote(out, span_cstr(s->since));
	BUF_ADD_LIT(out, ",\"target\":");
	json_quote(out, span_cstr(s->target));
	BUF_ADD_LIT(out, "}");
}

static struct span
text_of(const struct json *o, const char *name)
{
	const struct json *v = json_find_cstr(o, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

static uint64_t
number_of(const struct json *o, const char *name)
{
	int64_t v = 0;

	return json_get_int(json_find_cstr(o, name), 0, INT64_MAX, &v) ? (uint64_t)v : 0;
}

enum err
sink_status_parse(struct span text, struct sink_status *out, struct errinfo *ei)
{
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *o = NULL;

	*out = (struct sink_status){.is_required = false};
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = json_parse(text, a, &o, NULL, ei);
	if (rc == OK) {
		const struct json *required = json_find_cstr(o, "required");
		out->is_required =
			required != NULL && required->type == JSON_BOOL && required->boolean;
		copy_text(out->target, sizeof(out->target), text_of(o, "target"));
		copy_text(out->error, sizeof(out->error), text_of(o, "error"));
		copy_text(out->since, sizeof(out->since), text_of(o, "since"));
		out->n_dead = number_of(o, "dead_letters");
		out->last_dead = number_of(o, "last_dead_letter");
	}
	arena_free(&a);
	return rc;
}
