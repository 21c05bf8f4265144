/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference, example file and schema: each names every key, parses as what it claims to be, and the
 * example with its required keys filled in loads. No output holds a secret.
 */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "config/print.h"
#include "sample.h"
#include "support/test.h"

#define ARENA_BYTES ((size_t)1024 * 1024)

static bool
holds(const struct buf *b, const char *text)
{
	return b->p != NULL && strstr(b->p, text) != NULL;
}

/* Every row name of the tables stands in the text between before and after; returns how many there
 * were. */
static size_t
check_names(
	const struct config_object *o, const struct buf *b, const char *before, const char *after)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_rows; i++) {
		char needle[128];
		snprintf(needle, sizeof(needle), "%s%s%s", before, o->rows[i].name, after);
		if (!holds(b, needle))
			FAIL("%s is missing", needle);
		if (o->rows[i].object != NULL)
			n += check_names(o->rows[i].object, b, before, after);
		n++;
	}
	return n;
}

TEST(schema_is_json_and_closes_every_object)
{
	struct buf b;
	const struct json *tree = NULL;
	struct arena *a = arena_new(ARENA_BYTES);

	buf_init(&b, BUF_CAP_FILE);
	config_schema(&sample_config, "nomos", &b);
	CHECK_INT(json_parse(buf_span(&b), a, &tree, NULL, NULL), OK);
	CHECK(check_names(&sample_config, &b, "\"", "\": {") > 30);
	const struct json *gateway = json_find_cstr(json_find_cstr(tree, "properties"), "gateway");
	const struct json *limit =
		json_find_cstr(json_find_cstr(gateway, "properties"), "concurrency_limit");
	int64_t v = 0;
	CHECK(json_get_int(json_find_cstr(limit, "maximum"), 0, INT64_MAX, &v));
	CHECK_INT(v, 1000000);
	CHECK(json_find_cstr(gateway, "additionalProperties") != NULL);
	CHECK(!json_find_cstr(gateway, "additionalProperties")->boolean);
	/* principal may come from the environment, the id of a bucket may not. */
	CHECK(!holds(&b, "\"required\": [\"principal\""));
	CHECK(holds(&b, "\"required\": [\"id\"]"));
	buf_fini(&b);
	arena_free(&a);
}

TEST(reference_lists_every_key_with_its_environment_name)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	config_doc(&sample_config, &b);
	CHECK(check_names(&sample_policy_config, &b, "| `", "` |") == 4);
	CHECK(holds(&b, "## gateway.tls\n"));
	CHECK(holds(&b, "## rate_limits.principal_action[]\n"));
	CHECK(holds(&b, "| `burst` | integer | `1` | 1 to 1000 |"));
	CHECK(holds(&b, "`NOMOS_GATEWAY_TLS_ENABLED`"));
	CHECK(holds(&b, "`NOMOS_IDENTITY_OIDC_ENABLED`"));
	CHECK(holds(&b, "Refused when switched on, not supported yet: TLS comes later."));
	CHECK(!holds(&b, "(null)"));
	buf_fini(&b);
}

/* The text with every "# " taken away that stands before a key, as an operator uncomments; prose
 * stays. */
static void
uncomment(struct span text, struct buf *out)
{
	while (text.n > 0) {
		size_t end = span_find(text, '\n');
		size_t at = 0;
		while (at < end && text.p[at] == ' ')
			at++;
		size_t key = at + 2;
		while (key < end && (text.p[key] == ' ' || text.p[key] == '-'))
			key++;
		size_t colon = key;
		while (colon < end &&
			(text.p[colon] == '_' || (text.p[colon] >= 'a' && text.p[colon] <= 'z')))
			colon++;
		bool is_key = at + 1 < end && text.p[at] == '#' && colon > key && colon < end &&
			      text.p[colon] == ':';
		buf_add(out, text.p, at);
		buf_add_span(
			out, span_of(text.p + at + (is_key ? 2 : 0), end - at - (is_key ? 2 : 0)));
		buf_add_char(out, '\n');
		text = span_from(text, end < text.n ? end + 1 : end);
	}
}

static enum err
load_example(struct span text, struct errinfo *ei)
{
	static const char vars[] = "NOMOS_IDENTITY_PRINCIPAL=a\0NOMOS_IDENTITY_AGENT=b"
				   "\0NOMOS_IDENTITY_AGENT_SECRET=12345678";
	struct span env = span_of(vars, sizeof(vars));
	struct config_input in = {
		.file = "example.yaml", .text = text, .env = sample_getenv, .env_arg = &env};
	struct config_report report;
	struct sample o;
	struct arena *a = arena_new(ARENA_BYTES);
	enum err rc = config_load(&sample_config, &in, a, &o, &report, ei);

	arena_free(&a);
	return rc;
}

TEST(example_loads_as_it_is_and_uncommented)
{
	struct buf b;
	struct buf open;
	struct errinfo ei = {.msg = ""};

	buf_init(&b, BUF_CAP_FILE);
	buf_init(&open, BUF_CAP_FILE);
	config_example(&sample_config, &b);
	CHECK(check_names(&sample_limit_config, &b, " ", ": ") == 3);
	CHECK(check_names(&sample_policy_config, &b, "\n  # ", ": ") == 4);
	CHECK(holds(&b, "\n  # listen: \":8080\"\n"));
	CHECK(holds(&b, "\n  principal: \"\"\n"));
	CHECK(!holds(&b, "mcp") && !holds(&b, "oidc") && !holds(&b, "sandbox"));
	if (load_example(buf_span(&b), &ei) != OK)
		FAIL("%s", ei.msg);
	uncomment(buf_span(&b), &open);
	CHECK(holds(&open, "\n    - id: \"\"\n"));
	/* Uncommented, the list has one element that misses its id, and nothing else is wrong. */
	CHECK_INT(load_example(buf_span(&open), &ei), ERR_INVALID);
	CHECK(strstr(ei.msg, "rate_limits.principal_action[0].id: is required") != NULL);
	CHECK(strstr(ei.msg, "more") == NULL);
	buf_fini(&b);
	buf_fini(&open);
}

TEST(dump_hides_secrets_and_is_refused_as_configuration)
{
	static const char text[] = "{\"identity\": {\"principal\": \"p\", \"agent\": \"a\", "
				   "\"api_keys\": {\"hunter2\": \"p\"},"
				   " \"agent_secrets\": {\"a\": \"hunter2\"},"
				   " \"peer_secrets\": {\"b\": [\"hunter2\", \"hunter2-b\"]}},"
				   " \"upstream\": {\"token\": \"hunter2hunter2\"},"
				   " \"mcp\": {\"token\": \"hunter2\"}}";
	struct config_input in = {.file = "c.json", .text = span_of(text, sizeof(text) - 1)};
	struct config_report report;
	struct sample o;
	struct buf b;
	struct arena *a = arena_new(ARENA_BYTES);

	buf_init(&b, BUF_CAP_FILE);
	CHECK_INT(config_load(&sample_config, &in, a, &o, &report, NULL), OK);
	config_dump_yaml(&sample_config, &o, &b);
	config_dump_json(&sample_config, &o, &b);
	CHECK(holds(&b, "\"(secret)\""));
	CHECK(holds(&b, "\"b\": [\"(secret)\", \"(secret)\"]"));
	CHECK(!holds(&b, "hunter2"));
	buf_reset(&b);
	config_dump_json(&sample_config, &o, &b);
	in.text = buf_span(&b);
	CHECK_INT(config_load(&sample_config, &in, a, &o, &report, NULL), ERR_INVALID);
	CHECK_INT(report.n_errors, 5);
	buf_fini(&b);
	arena_free(&a);
}

SUITE("config print", TEST_ROW(schema_is_json_and_closes_every_object),
	TEST_ROW(reference_lists_every_key_with_its_environment_name),
	TEST_ROW(example_loads_as_it_is_and_uncommented),
	TEST_ROW(dump_hides_secrets_and_is_refused_as_configuration))
