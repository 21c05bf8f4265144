/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Each allocation of the text modules fails once: the right code, an empty result, nothing leaked,
 * and redaction that replaces everything rather than too little.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/glob.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/yaml.h"
#include "support/test.h"

#define ARENA_BYTES (4UL * 1024 * 1024)
#define TRIES_MAX 100000

/*
 * Does the work once; OK, or the code of the failure. Checks by itself that a failure leaves no
 * result.
 */
typedef enum err (*work_fn)(void);

static void
torture(const char *name, work_fn work)
{
	unsigned long n = 0;
	enum err rc = ERR_NOMEM;

	while (rc != OK && n < TRIES_MAX) {
		long live = mem_live();
		mem_fail_at(++n);
		rc = work();
		mem_fail_at(0);
		if (mem_live() != live)
			FAIL("%s: failure %lu leaks", name, n);
	}
	if (rc != OK || n < 2)
		FAIL("%s: %lu tries", name, n);
}

static enum err
parse_json(void)
{
	const struct span text = SPAN_LIT(
		"{\"b\":[1,\"\\u0041\",{\"x\":null}],\"a\":{\"\\n\":true},\"c\":\"plain\"}");
	struct arena *a = arena_new(ARENA_BYTES);
	struct json_error je = {.fault = JSON_FAULT_NONE};
	const struct json *v = NULL;

	if (a == NULL)
		return ERR_NOMEM;
	enum err rc = json_parse(text, a, &v, &je, NULL);
	CHECK((rc == OK && v != NULL) || (rc == ERR_TOO_LARGE && v == NULL));
	CHECK(rc == OK || je.fault == JSON_FAULT_MEMORY);
	arena_free(&a);
	return rc;
}

TEST(json)
{
	torture("json_parse", parse_json);
}

static enum err
write_json(void)
{
	struct arena *a = arena_new(ARENA_BYTES);
	struct buf b;
	enum err rc = ERR_NOMEM;

	if (a == NULL)
		return ERR_NOMEM;
	struct json *o = json_new(a, JSON_OBJECT);
	struct json *list = json_new(a, JSON_ARRAY);
	buf_init(&b, BUF_CAP_REPLY);
	if (o != NULL && list != NULL && json_add_element(a, list, json_new_int(a, 1)) &&
		json_add_member(a, o, SPAN_LIT("s"), json_new_string(a, SPAN_LIT("text"))) &&
		json_add_member(a, o, SPAN_LIT("l"), list)) {
		json_canonical(o, &b);
		if (!buf_failed(&b)) {
			CHECK_SPAN(buf_span(&b), "{\"l\":[1],\"s\":\"text\"}");
			rc = OK;
		}
	}
	buf_fini(&b);
	arena_free(&a);
	return rc;
}

TEST(made_json)
{
	torture("json_new", write_json);
}

static enum err
parse_yaml(void)
{
	const struct span text =
		SPAN_LIT("a: &x {k: [1, 0x10, 1.5]}\nb: {<<: *x, m: s}\nc: [*x]\n");
	struct arena *a = arena_new(ARENA_BYTES);
	const struct json *v = NULL;

	if (a == NULL)
		return ERR_NOMEM;
	enum err rc = yaml_parse(text, "f.yaml", a, &v, NULL);
	CHECK((rc == OK && v != NULL) || (rc == ERR_TOO_LARGE && v == NULL));
	arena_free(&a);
	return rc;
}

TEST(yaml)
{
	torture("yaml_parse", parse_yaml);
}

static enum err
make_globs(void)
{
	const struct span tokens[] = {SPAN_LIT("git"), SPAN_LIT("**"), SPAN_LIT("--force*")};
	struct arena *a = arena_new(ARENA_BYTES);
	enum err rc = ERR_NOMEM;

	if (a == NULL)
		return ERR_NOMEM;
	struct glob *g = glob_new(a, SPAN_LIT("file://workspace/**/*.pem"));
	struct glob_argv *argv = g != NULL ? glob_argv_new(a, tokens, 3) : NULL;
	if (argv != NULL) {
		CHECK(glob_match(g, SPAN_LIT("file://workspace/x.pem")));
		rc = OK;
	}
	arena_free(&a);
	return rc;
}

TEST(globs)
{
	torture("glob_new", make_globs);
}

static enum err
redact_many(void)
{
	enum { N = 300 };
	static char text[N * 32];
	const char secret[] = "AKIAABCDEFGHIJKLMNOP";
	struct buf b;
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		memcpy(text + n, secret, sizeof(secret));
		text[n + sizeof(secret) - 1] = '\n';
		n += sizeof(secret);
	}
	buf_init(&b, BUF_CAP_REPLY);
	CHECK(redact(redactor_default(), span_of(text, n), &b));
	enum err rc = buf_failed(&b) || span_eq_cstr(buf_span(&b), "[REDACTED]") ? ERR_NOMEM : OK;
	CHECK(b.p == NULL || strstr(b.p, "AKIA") == NULL);
	buf_fini(&b);
	return rc;
}

TEST(redaction)
{
	CHECK(redact_is_clean(redactor_default(), SPAN_LIT("made before the failures")));
	torture("redact", redact_many);
}

SUITE("text", TEST_ROW(json), TEST_ROW(made_json), TEST_ROW(yaml), TEST_ROW(globs),
	TEST_ROW(redaction))
