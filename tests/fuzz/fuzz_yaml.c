/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as YAML. What is accepted can be written as JSON within bounds, and strict JSON
 * reads that back to the same; no list holds a null. What is refused names its place.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/must.h"
#include "base/utf8.h"
#include "base/yaml.h"

#define ARENA_BYTES (64UL * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_tree(const struct json *v, unsigned depth)
{
	MUST(depth <= JSON_DEPTH_MAX);
	MUST(v->line >= 1 && v->column >= 1);
	MUST(v->type != JSON_NUMBER || v->text.n <= JSON_NUMBER_BYTES_MAX);
	for (const struct json *m = v->first; m != NULL; m = m->next) {
		MUST(v->type == JSON_OBJECT || m->type != JSON_NULL);
		MUST(v->type == JSON_ARRAY || json_find(v, m->name) == m);
		check_tree(m, depth + (m->type >= JSON_ARRAY));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *v = NULL;
	const struct json *again = NULL;
	struct json_error je = {.fault = JSON_FAULT_NONE};
	struct errinfo ei = {.code = OK};
	struct buf b;
	struct buf out;

	MUST(a != NULL);
	enum err rc =
		yaml_parse_detailed(span_of((const char *)data, size), "f.yaml", a, &v, &je, &ei);
	if (rc != OK) {
		MUST(v == NULL && rc == ERR_PARSE && je.fault != JSON_FAULT_NONE);
		MUST(je.line >= 1 && je.column >= 1 && je.path[0] == '$');
		MUST(span_starts(span_cstr(ei.msg), SPAN_LIT("f.yaml:")));
		MUST(utf8_is_valid(span_cstr(ei.msg)));
		arena_free(&a);
		return 0;
	}
	check_tree(v, 1);
	buf_init(&b, BUF_CAP_FILE);
	buf_init(&out, BUF_CAP_FILE);
	json_canonical_typed(v, &b);
	if (!buf_failed(&b)) {
		MUST(json_parse(buf_span(&b), a, &again, NULL, NULL) == OK);
		json_canonical_typed(again, &out);
		MUST(span_eq(buf_span(&b), buf_span(&out)));
	}
	buf_fini(&b);
	buf_fini(&out);
	arena_free(&a);
	return 0;
}
