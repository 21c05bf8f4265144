/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Request bodies: each message of nomos-http.md 1.4 from a corpus, limits to the byte, the file form, failing memory. */
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "policy/action.h"
#include "support/cases.h"
#include "support/test.h"

#define ARENA_BYTES (4 * 1024 * 1024)

static const struct member {
	const char *name;
	const char *text;
} MEMBERS[] = {
	{"schema_version", "\"schema_version\":\"v1\""},
	{"action_id", "\"action_id\":\"a1\""},
	{"action_type", "\"action_type\":\"pay.refund\""},
	{"resource", "\"resource\":\" pay://h/x \""},
	{"params", "\"params\":{ \"amount\": 10 }"},
	{"trace_id", "\"trace_id\":\"t1\""},
	{"context", "\"context\":{}"},
};

static char body[2 * ACTION_BODY_BYTES_MAX];

static struct arena *
get_arena(void)
{
	static struct arena *arena;

	if (arena == NULL)
		arena = arena_new(ARENA_BYTES);
	arena_reset(arena);
	return arena;
}

static enum err
parse(struct span text, struct action **out, struct errinfo *ei)
{
	ei->msg[0] = '\0';
	return action_parse(text, get_arena(), out, ei);
}

static size_t
put(size_t at, struct span s)
{
	if (s.n > 0 && at + s.n <= sizeof(body))
		memcpy(body + at, s.p, s.n);
	return at + s.n;
}

/* left_out: names with "-" in front of each. */
static size_t
put_members(size_t at, struct span left_out)
{
	const char *divider = "";
	char word[64];
	char list[256];

	snprintf(list, sizeof(list), "%.*s-", SPAN_ARG(left_out));
	for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++) {
		snprintf(word, sizeof(word), "-%s-", MEMBERS[i].name);
		if (strstr(list, word) != NULL)
			continue;
		at = put(at, span_cstr(divider));
		at = put(at, span_cstr(MEMBERS[i].text));
		divider = ",";
	}
	return at;
}

/* Replaces "@-a-b" in a pattern by the members but for a and b. The text is in `body`. */
static struct span
expand(struct span pattern)
{
	size_t at = 0;

	for (size_t i = 0; i < pattern.n;) {
		if (pattern.p[i] != '@') {
			at = put(at, span_of(pattern.p + i, 1));
			i++;
			continue;
		}
		size_t end = ++i;
		while (end < pattern.n &&
			strchr("-_abcdefghijklmnopqrstuvwxyz", pattern.p[end]) != NULL)
			end++;
		at = put_members(at, span_of(pattern.p + i, end - i));
		i = end;
	}
	return span_of(body, at);
}

static void
check_body(const struct cases_row *row, void *arg)
{
	struct action *action;
	struct errinfo ei;
	char verdict[64];

	(void)arg;
	enum err rc = parse(expand(row->field[1]), &action, &ei);
	snprintf(verdict, sizeof(verdict), "%s%s", rc == OK ? "->" : "!! ",
		rc == OK ? "" : err_name(rc));
	if (!span_eq_cstr(row->field[2], verdict) || !span_eq_cstr(row->field[3], ei.msg))
		FAIL("%s:%d: %s \"%s\"", row->file, row->line, verdict, ei.msg);
	CHECK((rc == OK) == (action != NULL));
}

TEST(says_what_the_corpus_says)
{
	CHECK(cases_each("action/body.cases", check_body, NULL) > 70);
}

TEST(keeps_what_was_sent)
{
	struct action *act;
	struct errinfo ei;

	CHECK_INT(parse(expand(SPAN_LIT("{@-context,\"context\":{\"extensions\":{\"a\":1}}}")),
			  &act, &ei),
		OK);
	CHECK_SPAN(act->schema_version, "v1");
	CHECK_SPAN(act->action_id, "a1");
	CHECK_SPAN(act->trace_id, "t1");
	CHECK_SPAN(act->action_type, "pay.refund");
	CHECK_SPAN(act->resource_raw, "pay://h/x");
	CHECK_SPAN(act->params_raw, "{ \"amount\": 10 }");
	CHECK_INT(act->kind, ACTION_CUSTOM);
	CHECK(json_find_cstr(act->params_json, "amount") != NULL);
	CHECK(json_find_cstr(act->extensions, "a") != NULL);
	CHECK_INT(parse(expand(SPAN_LIT("{@}")), &act, &ei), OK);
	CHECK(act->extensions == NULL);
}

/* What stands between head and tail is filled with n times the byte c. */
static struct span
fill(const char *head, char c, size_t n, const char *tail)
{
	size_t at = put(0, span_cstr(head));

	memset(body + at, c, n);
	return span_of(body, put(at + n, span_cstr(tail)));
}

TEST(limits_the_body_to_the_byte)
{
	struct action *act;
	struct errinfo ei;

	size_t used = put_members(1, SPAN_NONE);
	body[0] = '{';
	body[used] = '}';
	memset(body + used + 1, ' ', sizeof(body) - used - 1);
	CHECK_INT(parse(span_of(body, ACTION_BODY_BYTES_MAX), &act, &ei), OK);
	CHECK_INT(parse(span_of(body, ACTION_BODY_BYTES_MAX + 1), &act, &ei), ERR_TOO_LARGE);
	CHECK_STR(ei.msg, "request exceeds 65536 bytes");
	CHECK(act == NULL);
}

static struct span
make_params(size_t n_bytes)
{
	char head[512];

	size_t at = put_members(0, SPAN_LIT("-params"));
	snprintf(head, sizeof(head), "{%.*s,\"params\":{\"a\":\"", (int)at, body);
	return fill(head, 'x', n_bytes - strlen("{\"a\":\"\"}"), "\"}}");
}

TEST(limits_params_to_the_byte)
{
	struct action *act;
	struct errinfo ei;

	CHECK_INT(parse(make_params(ACTION_PARAMS_BYTES_MAX), &act, &ei), OK);
	CHECK_INT(act->params_raw.n, ACTION_PARAMS_BYTES_MAX);
	CHECK_INT(parse(make_params(ACTION_PARAMS_BYTES_MAX + 1), &act, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, "params exceeds 32768 bytes");
}

static struct span
make_context(size_t n_bytes)
{
	char head[512];

	size_t at = put_members(0, SPAN_LIT("-context"));
	snprintf(head, sizeof(head), "{%.*s,\"context\":{\"extensions\":{\"a\":\"", (int)at, body);
	return fill(head, 'x', n_bytes - strlen("{\"extensions\":{\"a\":\"\"}}"), "\"}}}");
}

TEST(limits_context_to_the_byte)
{
	struct action *act;
	struct errinfo ei;

	CHECK_INT(parse(make_context(ACTION_CONTEXT_BYTES_MAX), &act, &ei), OK);
	CHECK_INT(parse(make_context(ACTION_CONTEXT_BYTES_MAX + 1), &act, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, "context exceeds 8192 bytes");
}

static void
check_text_limit(const char *name, size_t max, const char *start, const char *message)
{
	char left_out[64];
	char head[512];
	struct action *act;
	struct errinfo ei;

	snprintf(left_out, sizeof(left_out), "-%s", name);
	size_t at = put_members(0, span_cstr(left_out));
	snprintf(head, sizeof(head), "{%.*s,\"%s\":\"%s", (int)at, body, name, start);
	CHECK_INT(parse(fill(head, 'a', max - strlen(start), "\"}"), &act, &ei), OK);
	CHECK_INT(parse(fill(head, 'a', max + 1 - strlen(start), "\"}"), &act, &ei), ERR_INVALID);
	CHECK_STR(ei.msg, message);
}

TEST(limits_ids_types_and_resources)
{
	check_text_limit("action_id", 128, "", "action_id has invalid format");
	check_text_limit("trace_id", 128, "", "trace_id has invalid format");
	/* The reference has no cap on types and resources. */
	check_text_limit("action_type", 256, "a.", "action_type has invalid format");
	check_text_limit(
		"resource", ACTION_RESOURCE_BYTES_MAX, "pay://h/", "resource exceeds 8192 bytes");
}

TEST(refuses_what_two_readers_would_read_differently)
{
	static const char *const bodies[] = {
		"{@,\"action_id\":\"other\"}",
		"{@,\"resource\":\"pay://h/other\"}",
		"{@,\"params\":{}}",
		"{@,\"Params\":{\"amount\":1000}}",
		"{@,\"p\\u0061rams\":{}}",
		"{@-context,\"context\":{\"extensions\":{},\"extensions\":{}}}",
		"{@-action_id,\"action_id\":\"a1\xff\"}",
		"{@-action_id,\"action_id\":\"\\ud800\"}",
		"\xef\xbb\xbf{@}",
	};
	struct action *act;
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		CHECK_INT(parse(expand(span_cstr(bodies[i])), &act, &ei), ERR_PARSE);
		CHECK(act == NULL);
		CHECK(ei.msg[0] != '\0');
	}
}

TEST(names_the_member_that_came_twice)
{
	struct action *act;
	struct errinfo ei;

	CHECK_INT(parse(expand(SPAN_LIT("{@,\"params\":{}}")), &act, &ei), ERR_PARSE);
	CHECK(strstr(ei.msg, "duplicate member \"params\"") == ei.msg);
}

TEST(reads_the_file_form)
{
	static const char who[] = "{@,\"principal\":\"p\",\"agent\":\"g\",\"environment\":\"dev\"}";
	struct identity id;
	struct action *act;
	struct errinfo ei;

	CHECK_INT(action_parse_file(expand(SPAN_LIT(who)), get_arena(), &act, &id, &ei), OK);
	CHECK_SPAN(id.principal, "p");
	CHECK_SPAN(id.agent, "g");
	CHECK_SPAN(id.environment, "dev");
	CHECK_SPAN(act->action_type, "pay.refund");
	CHECK_INT(action_parse_file(expand(SPAN_LIT("{@-action_id,\"agent\":\" \"}")), get_arena(),
			  &act, &id, &ei),
		ERR_INVALID);
	CHECK_STR(ei.msg, "action_id is required; principal is required; agent is required; "
			  "environment is required");
	CHECK(act == NULL);
	CHECK_INT(action_parse_file(expand(SPAN_LIT("{@,\"principal\":\"p\",\"agent\":\"g\","
						    "\"Environment\":\"dev\"}")),
			  get_arena(), &act, &id, &ei),
		ERR_PARSE);
	CHECK_STR(ei.msg, "member \"Environment\" differs only in case from \"environment\"");
	CHECK(id.principal.n == 0);
	CHECK_INT(action_parse_file(
			  expand(SPAN_LIT("{@,\"principal\":1}")), get_arena(), &act, &id, &ei),
		ERR_PARSE);
	CHECK_STR(ei.msg, "json: cannot unmarshal number into Go struct field "
			  "requestPayload.principal of type string");
}

TEST(knows_the_built_in_kinds)
{
	for (unsigned kind = ACTION_CUSTOM + 1; kind < ACTION_KIND__MAX; kind++) {
		const char *name = action_kind_name((enum action_kind)kind);
		CHECK(name[0] != '\0');
		CHECK_INT(action_kind_of(span_cstr(name)), kind);
	}
	CHECK_INT(action_kind_of(SPAN_LIT("fs.reads")), ACTION_CUSTOM);
	CHECK_INT(action_kind_of(SPAN_LIT("FS.READ")), ACTION_CUSTOM);
	CHECK_INT(action_kind_of(SPAN_LIT("")), ACTION_CUSTOM);
	CHECK_STR(action_kind_name(ACTION_CUSTOM), "");
	CHECK_STR(action_kind_name(ACTION_KIND__MAX), "");
}

TEST(knows_the_risk_flags)
{
	static const char *const names[] = {"risk.exec", "risk.net", "risk.write", "risk.secrets",
		"risk.large_io", "risk.high_fanout"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		CHECK_STR(action_risk_name((enum action_risk)(1u << i)), names[i]);
		CHECK_INT(action_risk_parse(span_cstr(names[i])), 1u << i);
	}
	CHECK_INT(action_risk_parse(SPAN_LIT("RISK.Exec")), RISK_EXEC);
	CHECK_INT(action_risk_parse(SPAN_LIT("exec")), 0);
	CHECK_STR(action_risk_level(0), "low");
	CHECK_STR(action_risk_level(RISK_WRITE), "medium");
	CHECK_STR(action_risk_level(RISK_NET | RISK_LARGE_IO), "medium");
	CHECK_STR(action_risk_level(RISK_LARGE_IO), "medium");
	CHECK_STR(action_risk_level(RISK_EXEC | RISK_WRITE), "high");
	CHECK_STR(action_risk_level(RISK_SECRETS), "high");
	CHECK_STR(action_risk_level(RISK_HIGH_FANOUT), "high");
}

TEST(gives_way_when_memory_is_out)
{
	static const char *const bodies[] = {"{@}", "{}", "{@-context,\"context\":{\"x\":1}}"};
	long live = mem_live();

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct span text = expand(span_cstr(bodies[i]));
		enum err want = i == 0 ? OK : ERR_INVALID;
		enum err rc = ERR_TOO_LARGE;
		for (size_t cap = 0; rc == ERR_TOO_LARGE && cap < 65536; cap += 8) {
			struct action *act = (struct action *)body;
			struct errinfo ei = {.code = OK};
			struct arena *a = arena_new(cap);
			rc = action_parse(text, a, &act, &ei);
			CHECK(rc == want || rc == ERR_TOO_LARGE);
			CHECK((act != NULL) == (rc == OK));
			CHECK(rc == OK || ei.msg[0] != '\0');
			arena_free(&a);
		}
		CHECK_INT(rc, want);
	}
	CHECK_INT(mem_live(), live);
}

SUITE("policy.action", TEST_ROW(says_what_the_corpus_says), TEST_ROW(keeps_what_was_sent),
	TEST_ROW(limits_the_body_to_the_byte), TEST_ROW(limits_params_to_the_byte),
	TEST_ROW(limits_context_to_the_byte), TEST_ROW(limits_ids_types_and_resources),
	TEST_ROW(refuses_what_two_readers_would_read_differently),
	TEST_ROW(names_the_member_that_came_twice), TEST_ROW(reads_the_file_form),
	TEST_ROW(knows_the_built_in_kinds), TEST_ROW(knows_the_risk_flags),
	TEST_ROW(gives_way_when_memory_is_out))
