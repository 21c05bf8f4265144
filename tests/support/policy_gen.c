/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Generated bundles and actions (policy_gen.h). */
#include "support/policy_gen.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"

#define RULES_MAX 64
#define TOKENS_MAX 6
#define SEGMENTS_MAX 5

uint32_t
policy_gen_pick(struct policy_gen *g, uint32_t n)
{
	if (g->n_bytes > 0) {
		uint32_t v = g->bytes[0];
		g->bytes++;
		g->n_bytes--;
		return v % n;
	}
	if (g->state == 0)
		return 0;
	/* splitmix64 */
	g->state += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = g->state;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) >> 32) % n;
}

#define PICK(g, list) ((list)[policy_gen_pick((g), (uint32_t)ARRAY_LEN(list))])

static const char *const action_types[] = {
	"fs.read", "fs.write", "process.exec", "net.http_request", "x.custom"};
static const char *const names[] = {"ann", "bob", "cid", "*x"};
static const char *const hosts[] = {"file://workspace", "file://workspace", "url://a.example",
	"url://b.example", "file://workspace", "x://h", "a"};
static const char *const host_patterns[] = {"file://workspace", "file://workspace",
	"url://*.example", "url://a.*", "x://?", "x://h", "**", "**", "url://**", "*://h"};
static const char *const value_segments[] = {
	"a", "b", "ab", "abc", ".env", "x.pem", "*x.pem", "**", "", "c?", "ba"};
static const char *const pattern_segments[] = {"a", "b", "ab", "**", "*", "?", "a*", "*b", "*.pem",
	".env", "a**b", "??", "", "**", "*a*b*"};
static const char *const tokens[] = {
	"git", "push", "ls", "-f", "--force", "a.pem", "*", "x\\\\y", "", "gi"};
static const char *const token_patterns[] = {"git", "push", "**", "*", "ls", "-*", "--force*",
	"*.pem", "\\\\*", "x\\\\\\\\y", "?", "g?t", "**"};
static const char *const flags[] = {
	"risk.exec", "RISK.WRITE", "risk.net", "risk.large_io", "risk.bogus"};

/* A list member, sometimes left out. */
static void
put_names(struct policy_gen *g, const char *key, struct buf *out)
{
	uint32_t n = policy_gen_pick(g, 4);

	if (n == 0)
		return;
	buf_printf(out, ",\"%s\":[", key);
	for (uint32_t i = 1; i < n; i++)
		buf_printf(out, "%s\"%s\"", i > 1 ? "," : "",
			policy_gen_pick(g, 8) == 0 ? "*" : PICK(g, names));
	buf_add_char(out, ']');
}

static void
put_pattern(struct policy_gen *g, struct buf *out)
{
	uint32_t n = policy_gen_pick(g, SEGMENTS_MAX);

	buf_add_cstr(out, PICK(g, host_patterns));
	for (uint32_t i = 0; i < n; i++)
		buf_printf(out, "/%s", PICK(g, pattern_segments));
	if (policy_gen_pick(g, 2) == 0)
		buf_add_cstr(out, "/**");
}

static void
put_exec_match(struct policy_gen *g, struct buf *out)
{
	uint32_t n = 1 + policy_gen_pick(g, 3);

	BUF_ADD_LIT(out, ",\"exec_match\":{\"argv_patterns\":[");
	for (uint32_t i = 0; i < n; i++) {
		uint32_t n_tokens = 1 + policy_gen_pick(g, 4);
		buf_add_cstr(out, i > 0 ? ",[" : "[");
		for (uint32_t k = 0; k < n_tokens; k++)
			buf_printf(out, "%s\"%s\"", k > 0 ? "," : "", PICK(g, token_patterns));
		buf_add_char(out, ']');
	}
	BUF_ADD_LIT(out, "]}");
}

static void
put_obligations(struct policy_gen *g, bool may_list, struct buf *out)
{
	static const char *const sandboxes[] = {"none", "local", "container"};
	static const char *const lists[] = {"[]", "[\"a.example\"]",
		"[\"b.example\",\"a.example\"]", "[\"c.example\",\"b.example\",\"c.example\"]"};

	BUF_ADD_LIT(out, ",\"obligations\":{\"zz_note\":1");
	if (policy_gen_pick(g, 2) == 0)
		buf_printf(out, ",\"output_max_bytes\":%u", policy_gen_pick(g, 5) * 10);
	if (policy_gen_pick(g, 2) == 0)
		buf_printf(out, ",\"sandbox_mode\":\"%s\"", PICK(g, sandboxes));
	if (policy_gen_pick(g, 2) == 0)
		buf_printf(out, ",\"http_redirects\":%s",
			policy_gen_pick(g, 3) > 0 ? "true" : "false");
	if (policy_gen_pick(g, 2) == 0)
		buf_printf(out, ",\"net_allowlist\":%s", PICK(g, lists));
	if (may_list && policy_gen_pick(g, 4) == 0)
		buf_add_cstr(out, ",\"exec_allowlist\":[[\"git\"]]");
	buf_add_char(out, '}');
}

void
policy_gen_rule(struct policy_gen *g, const char *id, const char *verdict, struct buf *out)
{
	static const char *const verdicts[] = {
		"ALLOW", "ALLOW", "ALLOW", "DENY", "REQUIRE_APPROVAL"};
	const char *type = policy_gen_pick(g, 3) == 0 ? "*" : PICK(g, action_types);
	bool is_exec = strcmp(type, "process.exec") == 0 || strcmp(type, "*") == 0;
	bool has_exec_match = is_exec && policy_gen_pick(g, 3) > 0;

	buf_printf(out, "{\"id\":\"%s\",\"action_type\":\"%s\",\"resource\":\"", id, type);
	put_pattern(g, out);
	buf_printf(out, "\",\"decision\":\"%s\"", verdict != NULL ? verdict : PICK(g, verdicts));
	if (policy_gen_pick(g, 2) == 0)
		put_names(g, "principals", out);
	if (policy_gen_pick(g, 3) == 0)
		put_names(g, "agents", out);
	if (policy_gen_pick(g, 3) == 0)
		put_names(g, "environments", out);
	if (policy_gen_pick(g, 6) == 0)
		buf_printf(out, ",\"risk_flags\":[\"%s\"]", PICK(g, flags));
	if (has_exec_match)
		put_exec_match(g, out);
	if (policy_gen_pick(g, 2) == 0)
		put_obligations(g, !has_exec_match, out);
	buf_add_char(out, '}');
}

void
policy_gen_bundle(struct policy_gen *g, uint32_t max_rules, const char *extra, struct buf *out)
{
	uint32_t n = 1 + policy_gen_pick(g, max_rules < RULES_MAX ? max_rules : RULES_MAX);
	uint32_t step = 1 + 2 * policy_gen_pick(g, RULES_MAX / 2);
	char id[16];

	BUF_ADD_LIT(out, "{\"version\":\"v1\",\"rules\":[");
	for (uint32_t i = 0; i < n; i++) {
		/* An odd step visits every number of a power of two once. */
		snprintf(id, sizeof(id), "r%02u", i * step % RULES_MAX);
		if (i > 0)
			buf_add_char(out, ',');
		policy_gen_rule(g, id, NULL, out);
	}
	if (extra != NULL)
		buf_printf(out, ",%s", extra);
	BUF_ADD_LIT(out, "]}");
}

static struct span
gen_resource(struct policy_gen *g, struct arena *a)
{
	uint32_t n = policy_gen_pick(g, SEGMENTS_MAX);
	struct buf b;

	buf_init_arena(&b, a, 256);
	buf_add_cstr(&b, PICK(g, hosts));
	for (uint32_t i = 0; i < n; i++)
		buf_printf(&b, "/%s", PICK(g, value_segments));
	return buf_span(&b);
}

/* The token as it is after JSON decoding. */
static struct span
gen_token(struct policy_gen *g)
{
	const char *t = PICK(g, tokens);

	return strcmp(t, "x\\\\y") == 0 ? SPAN_LIT("x\\y") : span_cstr(t);
}

static void
gen_flags(struct policy_gen *g, struct reference_action *out)
{
	static const char *const by_type[] = {NULL, "risk.write", "risk.exec", "risk.net", NULL};

	for (size_t i = 0; i < ARRAY_LEN(action_types); i++) {
		if (span_eq_cstr(out->action_type, action_types[i]) && by_type[i] != NULL)
			out->risk_flags[out->n_risk_flags++] = by_type[i];
	}
	if (policy_gen_pick(g, 4) == 0)
		out->risk_flags[out->n_risk_flags++] = "risk.large_io";
}

bool
policy_gen_action(struct policy_gen *g, struct arena *a, struct reference_action *out)
{
	*out = (struct reference_action){0};
	out->action_type = span_cstr(PICK(g, action_types));
	out->resource = gen_resource(g, a);
	out->principal = span_cstr(PICK(g, names));
	out->agent = span_cstr(PICK(g, names));
	out->environment = span_cstr(PICK(g, names));
	gen_flags(g, out);
	if (span_eq_cstr(out->action_type, "process.exec")) {
		struct span *argv = ARENA_ARRAY(a, struct span, TOKENS_MAX);
		if (argv == NULL)
			return false;
		out->n_argv = policy_gen_pick(g, TOKENS_MAX);
		for (size_t i = 0; i < out->n_argv; i++)
			argv[i] = gen_token(g);
		out->argv = argv;
	}
	return !arena_failed(a);
}
