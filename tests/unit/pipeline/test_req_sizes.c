/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and policies at the limits of size: whatever is valid is decided and recorded, whatever is not is the caller's
 * mistake; neither is ever an overload that a retry would meet again.
 */
#include "base/json.h"
#include "fixture.h"

/* Fills text with `start`, `unit` as often as it fits into n bytes, and `end`; both ends count. A # counts the units. */
static void
fill(char *text, size_t n, const char *start, const char *unit, const char *end)
{
	size_t at = (size_t)snprintf(text, n, "%s", start);
	size_t room = n - strlen(end);
	size_t i = 0;

	for (;; i++) {
		char number[8];
		char one[64];
		const char *mark = strchr(unit, '#');
		int len;

		snprintf(number, sizeof(number), "%zu", i);
		len = mark == NULL ? snprintf(one, sizeof(one), "%s", unit)
				   : snprintf(one, sizeof(one), "%.*s%s%s", (int)(mark - unit),
					     unit, number, mark + 1);
		if (at + (size_t)len > room)
			break;
		memcpy(text + at, one, (size_t)len);
		at += (size_t)len;
	}
	memcpy(text + at, end, strlen(end) + 1);
}

struct shape {
	const char *start;
	const char *unit;
	const char *end;
};

/* The most nodes, members, containers, numbers with two forms, bytes to escape that a text can have. */
static const struct shape shapes[] = {
	{"{\"a\":[1", ",1", "]}"},
	{"{\"a\":[[]", ",[]", "]}"},
	{"{\"a\":[{}", ",{}", "]}"},
	{"{\"a\":[1e1", ",1e1", "]}"},
	{"{\"a\":[\"\"", ",\"\"", "]}"},
	{"{\"a\":1", ",\"#\":1", "}"},
	{"{\"a\":\"", "<", "\"}"},
	{"{\"a\":\"", "\\n", "\"}"},
	{"{\"a\":[\"<\"", ",\"<\"", "]}"},
};

static const int64_t output_sizes[] = {1, 1024, 65536, 1048576};

static const char *
biggest_body(const struct shape *shape)
{
	static char params[ACTION_PARAMS_BYTES_MAX + 1];
	static char extensions[ACTION_CONTEXT_BYTES_MAX + 1];
	static char resource[ACTION_RESOURCE_BYTES_MAX + 1];
	static char body[ACTION_BODY_BYTES_MAX + 1];
	int n;

	fill(params, sizeof(params) - 1, shape->start, shape->unit, shape->end);
	fill(extensions, sizeof(extensions) - 1 - strlen("{\"extensions\":}"), shape->start,
		shape->unit, shape->end);
	fill(resource, sizeof(resource) - 1, "pay://shop/", "<", "");
	n = snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":"
		"\"payments.list\",\"resource\":\"%s\",\"params\":%s,\"trace_id\":\"t1\","
		"\"context\":{\"extensions\":%s}}",
		resource, params, extensions);
	MUST(n > 0 && (size_t)n < sizeof(body));
	memset(body + n, ' ', sizeof(body) - 1 - (size_t)n);
	return body;
}

TEST(the_biggest_bodies_are_decided)
{
	struct fixture f;

	fixture_init(&f);
	for (size_t o = 0; o < ARRAY_LEN(output_sizes); o++) {
		f.options.executor.max_output_bytes = output_sizes[o];
		fixture_reload(&f);
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
			f.operation = REQ_OP_ACTION;
			f.ledger.n_records = 0;
			fixture_send(&f, biggest_body(&shapes[i]));
			if (f.answer.error != REQ_DECIDED || f.answer.verdict != VERDICT_ALLOW)
				FAIL("shape %zu, output %lld: %s", i, (long long)output_sizes[o],
					f.answer.message);
			CHECK_INT(f.ledger.n_records, 1);
			f.operation = REQ_OP_EXPLAIN;
			fixture_send(&f, biggest_body(&shapes[i]));
			CHECK_INT(f.answer.error, REQ_DECIDED);
			CHECK(f.answer.explain[0] == '{');
		}
	}
	fixture_fini(&f);
}

TEST(the_biggest_malformed_bodies_are_the_callers_mistake)
{
	static const struct shape malformed[] = {
		{"[1", ",1", "]"},
		{"[1", ",1", ""},
		{"[[]", ",[]", "]"},
		{"{\"params\":[1", ",1", ""},
		{"{\"params\":[1", ",1", "]}"},
		{"{\"params\":{\"a\":1", ",\"#\":1", ",\"a\":1}}"},
		{"{\"a\":1", ",\"#\":1", "}"},
		{"{\"params\":\"", "\\n", "\"}"},
		{"{\"params\":\"", "<", "\"}"},
	};
	static char body[ACTION_BODY_BYTES_MAX + 1];
	struct fixture f;

	fixture_init(&f);
	for (size_t o = 0; o < ARRAY_LEN(output_sizes); o++) {
		f.options.executor.max_output_bytes = output_sizes[o];
		fixture_reload(&f);
		for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
			fill(body, sizeof(body) - 1, malformed[i].start, malformed[i].unit,
				malformed[i].end);
			fixture_send(&f, body);
			if (f.answer.error != REQ_ERROR_VALIDATION)
				FAIL("shape %zu, output %lld: %s", i, (long long)output_sizes[o],
					f.answer.message);
		}
	}
	CHECK_INT(f.ledger.n_records, 0);
	fixture_fini(&f);
}

/* A policy of that many rules which all match, their ids that long. */
static void
load_rules(struct fixture *f, int n_rules, int n_id, const char *obligations)
{
	FILE *file = fopen(f->bundle, "wb");

	MUST(file != NULL);
	fprintf(file, "{\"version\":\"v1\",\"rules\":[");
	for (int i = 0; i < n_rules; i++)
		fprintf(file,
			"%s{\"id\":\"%0*d\",\"action_type\":\"fs.write\",\"resource\":"
			"\"file://workspace/**\",\"decision\":\"ALLOW\",\"obligations\":{%s}}",
			i > 0 ? "," : "", n_id, i, obligations);
	fprintf(file, "]}");
	MUST(fclose(file) == 0);
	fixture_reload(f);
}

static size_t
count_rule_ids(const char *record)
{
	static char text[FAKE_RECORD_BYTES];
	struct arena *arena = arena_new((size_t)64 << 20);
	const struct json *tree;
	const struct json *ids;
	const char *at = strstr(record, "\"matched_rule_ids\":");
	const char *end = at != NULL ? strchr(at, ']') : NULL;
	size_t n;

	MUST(end != NULL);
	snprintf(text, sizeof(text), "{%.*s}", (int)(end + 1 - at), at);
	MUST(json_parse(span_cstr(text), arena, &tree, NULL, NULL) == OK);
	ids = json_find_cstr(tree, "matched_rule_ids");
	n = ids->n;
	arena_free(&arena);
	return n;
}

TEST(however_many_rules_match_there_is_a_record)
{
	static const struct {
		int n_rules;
		int n_id;
		size_t want;
	} rows[] = {
		{256, 10, 256}, {257, 10, 256}, {3000, 100, 256}, {300, 1000, 32}, {2, 40000, 0}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fixture f;

		fixture_init(&f);
		load_rules(&f, rows[i].n_rules, rows[i].n_id, "");
		fixture_act(&f, "fs.write", "file://workspace/x", "{\"content\":\"abc\"}");
		CHECK_INT(f.answer.error, REQ_DECIDED);
		CHECK_INT(f.answer.verdict, VERDICT_ALLOW);
		MUST(f.ledger.n_records == 2);
		if (rows[i].want > 0) {
			CHECK_INT(count_rule_ids(f.ledger.records[0].text), rows[i].want);
			CHECK(strstr(f.ledger.records[0].text, "\"matched_rule_ids\":[\"0000") !=
				NULL);
		} else {
			CHECK(strstr(f.ledger.records[0].text, "matched_rule_ids") == NULL);
		}
		fixture_fini(&f);
	}
}

/* Nothing can be left out of obligations. Such a policy is not served, and no retry is asked for. */
TEST(a_record_that_can_never_fit_is_no_overload)
{
	static char obligations[300000];
	struct fixture f;

	fixture_init(&f);
	fill(obligations, sizeof(obligations) - 1, "\"reason\":\"", "x", "\"");
	load_rules(&f, 1, 10, obligations);
	fixture_act(&f, "fs.write", "file://workspace/x", "{\"content\":\"abc\"}");
	CHECK_INT(f.answer.error, REQ_ERROR_INTERNAL);
	CHECK_INT(f.answer.retry_after_s, 0);
	CHECK_INT(f.ledger.n_records, 0);
	fixture_fini(&f);
}

SUITE("req_sizes", TEST_ROW(however_many_rules_match_there_is_a_record),
	TEST_ROW(a_record_that_can_never_fit_is_no_overload),
	TEST_ROW(the_biggest_bodies_are_decided),
	TEST_ROW(the_biggest_malformed_bodies_are_the_callers_mistake))
