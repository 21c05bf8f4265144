/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The YAML reader against its corpora; places, sources, and the bounds on anchors and aliases. */
#include "base/yaml.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "support/cases.h"
#include "support/test.h"

#define ARENA_BYTES (64UL * 1024 * 1024)

static const char *const fault_names[] = {"NONE", "EMPTY", "CUT", "TRAILING", "SYNTAX", "UTF8",
	"CONTROL", "DUPLICATE", "DEPTH", "NUMBER", "MEMORY"};

static struct arena *arena;

static const struct json *
parse(const char *text)
{
	const struct json *v = NULL;
	struct errinfo ei = {.code = OK};

	if (yaml_parse(span_cstr(text), "f.yaml", arena, &v, &ei) != OK)
		FAIL("%s", ei.msg);
	return v;
}

/* Every number of the tree is one that strict JSON reads again. */
static void
check_reparses(const struct cases_row *row, struct span text)
{
	const struct json *v = NULL;
	struct errinfo ei = {.code = OK};

	if (json_parse(text, arena, &v, NULL, &ei) != OK)
		FAIL("%s:%d: not JSON: %s", row->file, row->line, ei.msg);
}

static void
check_acceptance(const struct cases_row *row, void *arg)
{
	const struct json *v = NULL;
	struct errinfo ei = {.code = OK};
	struct buf b;

	(void)arg;
	if (yaml_parse(row->field[0], "f.yaml", arena, &v, &ei) != OK) {
		FAIL("%s:%d: %s", row->file, row->line, ei.msg);
		return;
	}
	buf_init(&b, BUF_CAP_REPLY);
	json_canonical_typed(v, &b);
	if (!span_eq(buf_span(&b), row->field[1]))
		FAIL("%s:%d: %.*s", row->file, row->line, SPAN_ARG(buf_span(&b)));
	check_reparses(row, buf_span(&b));
	buf_fini(&b);
}

TEST(accepts)
{
	CHECK(cases_each("yaml/accept.cases", check_acceptance, NULL) > 100);
}

static void
check_refusal(const struct cases_row *row, void *arg)
{
	const struct json *v = NULL;
	struct json_error je = {.fault = JSON_FAULT_NONE};
	struct errinfo ei = {.code = OK};
	char text[512];

	(void)arg;
	if (yaml_parse_detailed(row->field[0], "f.yaml", arena, &v, &je, &ei) != ERR_PARSE ||
		v != NULL) {
		FAIL("%s:%d: accepted", row->file, row->line);
		return;
	}
	if (!span_eq_cstr(row->field[1], fault_names[je.fault]))
		FAIL("%s:%d: fault %s", row->file, row->line, fault_names[je.fault]);
	snprintf(text, sizeof(text), "%u:%u", je.line, je.column);
	if (!span_eq_cstr(row->field[2], text))
		FAIL("%s:%d: place %s", row->file, row->line, text);
	if (!span_eq_cstr(row->field[3], je.path))
		FAIL("%s:%d: path %s", row->file, row->line, je.path);
	snprintf(text, sizeof(text), "f.yaml:%u:%u: %.*s", je.line, je.column,
		SPAN_ARG(row->field[4]));
	if (!span_eq_cstr(span_cstr(text), ei.msg))
		FAIL("%s:%d: message %s", row->file, row->line, ei.msg);
}

TEST(refuses)
{
	CHECK(cases_each("yaml/refuse.cases", check_refusal, NULL) > 50);
}

TEST(scalars_keep_their_text)
{
	const struct json *v = parse("[1, true, 1.5, on, '~', 0x10, 1_0]");
	static const char *const want[] = {"1", "true", "1.5", "on", "~", "0x10", "1_0"};
	size_t i = 0;

	for (const struct json *e = v->first; e != NULL; e = e->next)
		CHECK_SPAN(e->source, want[i++]);
	CHECK_INT(i, 7);
	v = parse("a: 2026-01-01\n");
	CHECK_INT(json_find_cstr(v, "a")->type, JSON_STRING);
}

TEST(nodes_have_places)
{
	const struct json *v = parse("# c\nrules:\n  - id: &x one\n    n: {k: *x}\n");
	const struct json *rule = json_find_cstr(v, "rules")->first;

	CHECK_INT(v->line, 2);
	CHECK_INT(v->column, 1);
	CHECK_INT(rule->line, 3);
	CHECK_INT(rule->column, 5);
	CHECK_INT(json_find_cstr(rule, "id")->line, 3);
	CHECK_INT(json_find_cstr(rule, "id")->column, 9);
	const struct json *alias = json_find_cstr(json_find_cstr(rule, "n"), "k");
	CHECK_SPAN(alias->text, "one");
	CHECK_INT(alias->line, 4);
	CHECK_INT(alias->column, 12);
}

TEST(source_order_is_kept)
{
	const struct json *v = parse("z: 1\na: 2\n<<: {m: 3, a: 9}\nb: 4\n");
	static const char *const want[] = {"z", "a", "b", "m"};
	size_t i = 0;

	for (const struct json *m = v->first; m != NULL; m = m->next)
		CHECK_SPAN(m->name, want[i++]);
	CHECK_INT(i, 4);
	CHECK_INT(v->n, 4);
	CHECK_SPAN(v->sorted[0]->name, "a");
	CHECK_SPAN(v->sorted[3]->name, "z");
	CHECK_SPAN(json_find_cstr(v, "a")->text, "2");
}

static enum err
parse_text(char *text, size_t n, struct json_error *je, struct errinfo *ei)
{
	const struct json *v;

	return yaml_parse_detailed(span_of(text, n), "f.yaml", arena, &v, je, ei);
}

/* Nine lines that stand for ten to the eighth nodes. */
TEST(alias_bomb_is_refused)
{
	struct errinfo ei = {.code = OK};
	struct json_error je;
	char text[2048];
	arena_reset(arena);
	size_t n = (size_t)snprintf(text, sizeof(text), "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");

	for (int i = 1; i < 9; i++) {
		n += (size_t)snprintf(text + n, sizeof(text) - n, "a%d: &a%d [", i, i);
		for (int k = 0; k < 10; k++)
			n += (size_t)snprintf(
				text + n, sizeof(text) - n, "*a%d%s", i - 1, k < 9 ? "," : "]\n");
	}
	CHECK_INT(parse_text(text, n, &je, &ei), ERR_PARSE);
	CHECK(strstr(ei.msg, "aliases expand to more than 65536 nodes") != NULL);
	CHECK(arena_used(arena) < 1024UL * 1024);
}

TEST(anchors_and_aliases_are_counted)
{
	struct errinfo ei = {.code = OK};
	struct json_error je;
	static char text[64 * 1024];
	size_t n = (size_t)snprintf(text, sizeof(text), "- &x y\n");

	for (int i = 0; i < 1024; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "- *x\n");
	CHECK_INT(parse_text(text, n, &je, &ei), OK);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "- *x\n");
	CHECK_INT(parse_text(text, n, &je, &ei), ERR_PARSE);
	CHECK_STR(ei.msg, "f.yaml:1026:3: more than 1024 aliases");
	n = 0;
	for (int i = 0; i < 1025; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "- &x%d y\n", i);
	CHECK_INT(parse_text(text, n, &je, &ei), ERR_PARSE);
	CHECK_STR(ei.msg, "f.yaml:1025:3: more than 1024 anchors");
}

TEST(full_arena_is_too_large)
{
	struct arena *small = arena_new(1000);
	struct errinfo ei = {.code = OK};
	struct json_error je;
	const struct json *v;

	CHECK_INT(yaml_parse_detailed(
			  SPAN_LIT("[a,b,c,d,e,f,g,h,i,j,k,l]"), "f.yaml", small, &v, &je, &ei),
		ERR_TOO_LARGE);
	CHECK(v == NULL);
	CHECK_INT(je.fault, JSON_FAULT_MEMORY);
	CHECK(strstr(ei.msg, "document too large") != NULL);
	arena_free(&small);
}

/* Every size of arena up to the one that is enough: each place of failure is passed once. */
TEST(every_allocation_may_fail)
{
	const struct span text =
		SPAN_LIT("a: &x {k: [1, 0x10, 1.5, s]}\nb: {<<: *x, m: 1}\nc: [*x, {<<: [*x]}]\n");
	size_t n_failed = 0;

	for (size_t cap = 64; cap < 64UL * 1024; cap += 16) {
		struct arena *small = arena_new(cap);
		const struct json *v;
		enum err rc = yaml_parse(text, "f.yaml", small, &v, NULL);
		arena_free(&small);
		if (rc == OK)
			break;
		CHECK_INT(rc, ERR_TOO_LARGE);
		n_failed++;
	}
	CHECK(n_failed > 50);
	CHECK(n_failed < 2000);
}

static const struct test_case test_cases[] = {TEST_ROW(accepts), TEST_ROW(refuses),
	TEST_ROW(scalars_keep_their_text), TEST_ROW(nodes_have_places),
	TEST_ROW(source_order_is_kept), TEST_ROW(alias_bomb_is_refused),
	TEST_ROW(anchors_and_aliases_are_counted), TEST_ROW(full_arena_is_too_large),
	TEST_ROW(every_allocation_may_fail)};

int
main(int argc, char **argv)
{
	arena = arena_new(ARENA_BYTES);
	if (arena == NULL)
		return 2;
	int rc = test_run("yaml", test_cases, ARRAY_LEN(test_cases), argc, argv);
	arena_free(&arena);
	return rc;
}
