/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Typed parameters from a corpus: what is usable, what is not and why; that nothing of unusable parameters is left to be used. */
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "policy/action.h"
#include "support/cases.h"
#include "support/test.h"

#define ARENA_BYTES (4 * 1024 * 1024)

static const struct identity ID = {{"p", 1}, {"g", 1}, {"dev", 3}};
static char body[ACTION_BODY_BYTES_MAX + 1];

/* A resource that any type may have. */
static struct span
make_body(struct span type, struct span params)
{
	int n = snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"%.*s\","
		"\"resource\":\"file://workspace/a\",\"params\":%.*s,\"trace_id\":\"t1\","
		"\"context\":{}}",
		(int)type.n, type.p, (int)params.n, params.p);

	return span_of(body, (size_t)n);
}

static enum err
normalize(struct span text, struct arena *a, struct action **act, struct errinfo *ei)
{
	enum err rc = action_parse(text, a, act, ei);

	return rc == OK ? action_normalize(*act, &ID, a, ei) : rc;
}

static struct action *
make_action(const char *type, const char *params)
{
	static struct arena *arena;
	struct action *act;
	struct errinfo ei;

	if (arena == NULL)
		arena = arena_new(ARENA_BYTES);
	arena_reset(arena);
	CHECK_INT(normalize(make_body(span_cstr(type), span_cstr(params)), arena, &act, &ei), OK);
	return act;
}

static char dump[8192];
static size_t n_dump;

static void
add(struct span s)
{
	if (s.n > 0 && s.n < sizeof(dump) - n_dump) {
		memcpy(dump + n_dump, s.p, s.n);
		n_dump += s.n;
	}
}

static void
add_text(const char *name, struct span s)
{
	if (s.n == 0)
		return;
	if (n_dump > 0)
		add(SPAN_LIT(" "));
	add(span_cstr(name));
	add(SPAN_LIT("="));
	add(s);
}

static void
add_list(const char *name, const struct span *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			add_text(name, items[i]);
		else
			add(SPAN_LIT(","));
		if (i > 0)
			add(items[i]);
	}
}

static struct span
dump_params(const struct action_params *p)
{
	char text[16];

	n_dump = 0;
	add_text("method", p->method);
	add_text("body", p->body);
	if (p->headers != NULL) {
		snprintf(text, sizeof(text), "%u", p->headers->n);
		add_text("headers", span_cstr(text));
	}
	add_text("content", p->content);
	add_text("path", p->path);
	add_list("argv", p->argv, p->n_argv);
	add_text("cwd", p->cwd);
	add_list("env", p->env_keys, p->n_env_keys);
	add_list("leases", p->lease_ids, p->n_lease_ids);
	add_text("secret", p->secret_id);
	return span_of(dump, n_dump);
}

static void
check_row(const struct cases_row *row, void *arg)
{
	char type[64];
	char params[1024];
	bool usable = span_eq_cstr(row->field[2], "->");

	(void)arg;
	snprintf(type, sizeof(type), "%.*s", SPAN_ARG(row->field[0]));
	snprintf(params, sizeof(params), "%.*s", SPAN_ARG(row->field[1]));
	const struct action *act = make_action(type, params);
	struct span typed = dump_params(&act->params);
	struct span got = usable ? typed : act->params_problem;
	if (act->params_err != (usable ? OK : ERR_INVALID) || !span_eq(got, row->field[3]))
		FAIL("%s:%d: %s \"%.*s\" \"%.*s\"", row->file, row->line, err_name(act->params_err),
			SPAN_ARG(typed), SPAN_ARG(act->params_problem));
	/* Unusable means as a whole. */
	CHECK(usable || typed.n == 0);
	CHECK(usable == (act->params_problem.n == 0));
}

TEST(says_what_the_corpus_says)
{
	CHECK(cases_each("action/params.cases", check_row, NULL) > 80);
}

/* Weak spot 9.A.1 of the reference: rules saw git status, git push ran. */
TEST(never_has_two_readings_of_argv)
{
	const struct action *act = make_action(
		"process.exec", "{\"argv\":[\"git\",\"status\"],\"ARGV\":[\"git\",\"push\"]}");

	CHECK_INT(act->params_err, ERR_INVALID);
	CHECK_INT(act->params.n_argv, 0);
	CHECK(act->params.argv == NULL);
	act = make_action("process.exec", "{\"\\u0061rgv\":[\"\\u0067it\",\"status\"]}");
	CHECK_INT(act->params_err, OK);
	CHECK_INT(act->params.n_argv, 2);
	CHECK_SPAN(act->params.argv[0], "git");
	CHECK_SPAN(act->params_canonical, "{\"argv\":[\"git\",\"status\"]}");
}

TEST(hands_on_the_headers_as_parsed)
{
	const struct action *act =
		make_action("net.http_request", "{\"headers\":{\"Accept\":\"a\\u002fb\"}}");
	const struct json *accept = json_find_cstr(act->params.headers, "Accept");

	CHECK(accept != NULL && span_eq_cstr(accept->text, "a/b"));
}

static const char *
make_headers(char *out, size_t size, int n)
{
	size_t at = (size_t)snprintf(out, size, "{\"headers\":{");

	for (int i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, size - at, "%s\"h%d\":\"v\"", i > 0 ? "," : "", i);
	snprintf(out + at, size - at, "}}");
	return out;
}

TEST(bounds_the_number_of_headers)
{
	char params[4096];

	const struct action *act =
		make_action("net.http_request", make_headers(params, sizeof(params), 128));
	CHECK_INT(act->params_err, OK);
	act = make_action("net.http_request", make_headers(params, sizeof(params), 129));
	CHECK_INT(act->params_err, ERR_INVALID);
	CHECK_SPAN(act->params_problem, "headers holds more than 128 members");
}

TEST(cuts_a_long_member_name_in_the_problem)
{
	static char params[2048];

	memset(params, 'n', sizeof(params));
	memcpy(params, "{\"", 2);
	memcpy(params + sizeof(params) - 5, "\":1}", 5);
	const struct action *act = make_action("fs.write", params);
	CHECK_INT(act->params_err, ERR_INVALID);
	CHECK(act->params_problem.n < ERRINFO_MAX);
	CHECK(span_starts(act->params_problem, SPAN_LIT("unknown member \"nnn")));
}

TEST(never_says_a_value)
{
	const struct action *act =
		make_action("process.exec", "{\"argv\":[\"a\"],\"cwd\":\"/s3cret\"}");

	CHECK(strstr(act->params_problem.p, "s3cret") == NULL);
	act = make_action("net.http_request", "{\"headers\":{\"A\":\"s3cret\\n\"}}");
	CHECK(strstr(act->params_problem.p, "s3cret") == NULL);
}

/* However little memory there is: an error, or the whole truth. */
static void
torture(const char *type, const char *params)
{
	struct span text = make_body(span_cstr(type), span_cstr(params));
	enum err rc = ERR_TOO_LARGE;

	for (size_t cap = 0; rc == ERR_TOO_LARGE && cap < 65536; cap += 8) {
		struct action *act = NULL;
		struct errinfo ei;
		struct arena *a = arena_new(cap);
		rc = normalize(text, a, &act, &ei);
		CHECK(rc == OK || rc == ERR_TOO_LARGE);
		CHECK(rc != OK || (act->params_err == OK) == (act->params_problem.n == 0));
		CHECK(rc != OK || (act->fingerprint[0] != '\0' && act->resource.text.n > 0));
		arena_free(&a);
	}
	CHECK_INT(rc, OK);
}

/* What a thread and this program keep for good, so that only the rest is counted and made to fail. */
static long
warm_up(void)
{
	make_action("fs.read", "{}");
	return mem_live();
}

TEST(gives_way_when_memory_is_out)
{
	long live = warm_up();

	torture("process.exec",
		"{\"argv\":[\"a\",\"b\"],\"cwd\":\"c\",\"env_allowlist_keys\":[\"D\"]}");
	torture("process.exec", "{\"argv\":[\"a\",1]}");
	torture("repo.apply_patch", "{\"path\":\"a/b\",\"content\":\"c\",\"d\":1.5}");
	torture("net.http_request", "{\"method\":\"PUT\",\"headers\":{\"a\":\"b\"}}");
	CHECK_INT(mem_live(), live);
}

TEST(survives_each_failing_allocation)
{
	static char params[40000];
	long live = warm_up();
	enum err rc = ERR_TOO_LARGE;

	memset(params, '<', sizeof(params));
	memcpy(params, "{\"content\":\"", 12);
	memcpy(params + 32000, "\"}", 3);
	struct span text = make_body(SPAN_LIT("fs.write"), span_cstr(params));
	for (unsigned long at = 1; rc != OK && at < 64; at++) {
		struct action *act = NULL;
		struct errinfo ei;
		struct arena *a = arena_new(ARENA_BYTES);
		mem_fail_at(at);
		rc = normalize(text, a, &act, &ei);
		mem_fail_at(0);
		CHECK(rc == OK || rc == ERR_TOO_LARGE || rc == ERR_NOMEM);
		arena_free(&a);
	}
	CHECK_INT(rc, OK);
	CHECK_INT(mem_live(), live);
}

SUITE("policy.params", TEST_ROW(says_what_the_corpus_says),
	TEST_ROW(never_has_two_readings_of_argv), TEST_ROW(hands_on_the_headers_as_parsed),
	TEST_ROW(bounds_the_number_of_headers), TEST_ROW(cuts_a_long_member_name_in_the_problem),
	TEST_ROW(never_says_a_value), TEST_ROW(gives_way_when_memory_is_out),
	TEST_ROW(survives_each_failing_allocation))
