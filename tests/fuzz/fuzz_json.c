/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as JSON. What is accepted has a canonical form that parses again to the same
 * canonical form, a pretty form that means the same, members that are found, and sources that lie
 * in the text; what is refused says where.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/utf8.h"

#define ARENA_BYTES (64UL * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef void (*writer_fn)(const struct json *v, struct buf *b);

static void
check_tree(const struct json *v, struct span text)
{
	uint32_t n = 0;

	MUST(v->source.p >= text.p && v->source.p + v->source.n <= text.p + text.n);
	MUST(v->source.n > 0 && v->line >= 1 && v->column >= 1);
	MUST(v->type != JSON_STRING || utf8_is_valid(v->text));
	for (const struct json *m = v->first; m != NULL; m = m->next) {
		MUST(v->type == JSON_ARRAY || json_find(v, m->name) == m);
		check_tree(m, text);
		n++;
	}
	MUST(n == v->n);
	for (uint32_t i = 1; v->type == JSON_OBJECT && i < v->n; i++)
		MUST(span_cmp(v->sorted[i - 1]->name, v->sorted[i]->name) < 0);
}

/* Writes v, parses that and writes it again with `second`, which must give `want`. */
static void
check_round(const struct json *v, writer_fn first, writer_fn second, struct span want)
{
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *again = NULL;
	struct buf b;
	struct buf out;

	MUST(a != NULL);
	buf_init(&b, BUF_CAP_FILE);
	buf_init(&out, BUF_CAP_FILE);
	first(v, &b);
	MUST(json_parse(buf_span(&b), a, &again, NULL, NULL) == OK);
	second(again, &out);
	MUST(span_eq(buf_span(&out), want));
	buf_fini(&b);
	buf_fini(&out);
	arena_free(&a);
}

static void
check_forms(const struct json *v)
{
	struct buf canonical;
	struct buf typed;

	buf_init(&canonical, BUF_CAP_FILE);
	buf_init(&typed, BUF_CAP_FILE);
	json_canonical(v, &canonical);
	json_canonical_typed(v, &typed);
	MUST(!buf_failed(&canonical) && !buf_failed(&typed));
	check_round(v, json_canonical, json_canonical, buf_span(&canonical));
	check_round(v, json_canonical_typed, json_canonical_typed, buf_span(&typed));
	check_round(v, json_canonical_typed, json_canonical, buf_span(&canonical));
	check_round(v, json_pretty, json_canonical_typed, buf_span(&typed));
	buf_fini(&canonical);
	buf_fini(&typed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *v = NULL;
	struct json_error je = {.fault = JSON_FAULT_NONE};
	struct errinfo ei = {.code = OK};

	MUST(a != NULL);
	enum err rc = json_parse(text, a, &v, &je, &ei);
	if (rc == OK) {
		check_tree(v, text);
		check_forms(v);
	} else {
		MUST(v == NULL && je.fault != JSON_FAULT_NONE && je.offset <= size);
		MUST(rc == ERR_PARSE && ei.code == rc && ei.msg[0] != '\0' && je.path[0] == '$');
		MUST(!utf8_is_valid(text) || utf8_is_valid(span_cstr(ei.msg)));
	}
	arena_free(&a);
	return 0;
}
