/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What every text of a configuration must be, wherever it stands: a string, of bounded length,
 * without NUL, one of the row's words, not a secret that a dump hid. Quotes values in messages only
 * for rows that are not secret.
 */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/utf8.h"

#define QUOTE_BYTES_MAX 80

static bool
is_secret(const struct config_row *row)
{
	return row->type == CONFIG_TYPE_SECRET ||
	       (row->flags & (CONFIG_SECRET_KEYS | CONFIG_SECRET_VALUES)) != 0;
}

void
value_fail(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, const char *fmt, ...)
{
	char reason[ERRINFO_MAX];
	char path[PATH_MAX_BYTES];
	struct place at = {g->origin, node != NULL ? node : g->node};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (at.origin == NULL && at.node == NULL)
		at.node = s->node;
	scope_path(s, row->name, path);
	scope_issue(s->loader, CONFIG_ERROR, &at, path, "%s", reason);
}

bool
value_node_text(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, struct span *out)
{
	bool is_plain = node->type == JSON_NUMBER || node->type == JSON_BOOL;

	*out = SPAN_NONE;
	if (node->type == JSON_STRING)
		*out = node->text;
	else if (s->loader->yaml && is_plain)
		*out = node->source;
	else {
		value_fail(
			s, row, g, node, "expected a string, got %s", json_type_name(node->type));
		return false;
	}
	return true;
}

static bool
is_hidden(struct span text)
{
	return span_starts(text, SPAN_LIT("(secret")) && span_ends(text, SPAN_LIT(")"));
}

bool
value_check_text(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, struct span text, int64_t max)
{
	if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL) {
		value_fail(s, row, g, node, "holds a NUL byte");
		return false;
	}
	if (!utf8_is_valid(text)) {
		value_fail(s, row, g, node, "holds invalid UTF-8");
		return false;
	}
	if (text.n > (uint64_t)max) {
		value_fail(s, row, g, node, "%zu bytes is over the limit of %lld", text.n,
			(long long)max);
		return false;
	}
	if (is_secret(row) && is_hidden(text) && !s->loader->in->accept_hidden) {
		value_fail(s, row, g, node, "was hidden by a dump; give the real secret");
		return false;
	}
	return true;
}

const char *
value_quote(struct config_scope *s, struct span text)
{
	struct buf b;

	buf_init_arena(&b, s->loader->scratch, ERRINFO_MAX);
	json_quote(&b, span_of(text.p, text.n < QUOTE_BYTES_MAX ? text.n : QUOTE_BYTES_MAX));
	return b.p != NULL ? b.p : "";
}

static void
list_words(const char *words, struct buf *out)
{
	const char *gap = "";
	struct span w = config_word(words, 0);

	for (int i = 0; w.p != NULL; w = config_word(words, ++i)) {
		if (w.n == 0)
			continue;
		buf_add_cstr(out, gap);
		buf_add_span(out, w);
		gap = ", ";
	}
}

static int
find_word(const struct config_row *row, struct span text)
{
	if ((row->flags & CONFIG_FOLD) == 0)
		return config_word_index(row->words, text);
	struct span wanted = span_trim(text);
	struct span w = config_word(row->words, 0);
	for (int i = 0; w.p != NULL; w = config_word(row->words, ++i))
		if (span_eq_nocase(w, wanted))
			return i;
	return -1;
}

bool
value_find_word(struct config_scope *s, const struct config_row *row, const struct given *g,
	const struct json *node, struct span text, int *index)
{
	struct buf b;

	*index = find_word(row, text);
	if (*index >= 0)
		return true;
	*index = 0;
	buf_init_arena(&b, s->loader->scratch, ERRINFO_MAX);
	list_words(row->words, &b);
	value_fail(s, row, g, node, "%s is not one of %.*s", value_quote(s, text),
		SPAN_ARG(buf_span(&b)));
	return false;
}
