/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The reload diff: rows that may change are named, rows that may not are refused by name, values
 * are never shown. */
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "config/load.h"
#include "config/print.h"
#include "sample.h"
#include "support/test.h"

#define ARENA_BYTES ((size_t)1024 * 1024)
#define BASE                                                                                       \
	"{\"gateway\": {\"concurrency_limit\": 5, \"tls\": {\"key_file\": \"k\"}},"                \
	" \"policy\": {\"policy_bundle_paths\": [\"a\", \"b\"], \"policy_bundle_roles\":"          \
	" [\"org\", \"baseline\"]},"                                                               \
	" \"identity\": {\"principal\": \"p\", \"agent\": \"a\", \"api_keys\": {\"k\": \"p\"},"    \
	" \"agent_secrets\": {\"a\": \"hunter2\"}, \"principal_agents\": {\"p\": [\"a\"]}},"       \
	" \"rate_limits\": {\"principal_action\": [{\"id\": \"x\"}, {\"id\": \"y\"}]}}"

/* BASE with the first text replaced, compared with BASE; the issues joined by "; ". */
static enum err
diff(const char *from, const char *to, char *out, size_t size)
{
	struct arena *a = arena_new(ARENA_BYTES);
	struct config_report report;
	struct sample before;
	struct sample after;
	struct buf text;
	const char *at = strstr(BASE, from);

	buf_init(&text, BUF_CAP_FILE);
	buf_add(&text, BASE, (size_t)(at - BASE));
	buf_add_cstr(&text, to);
	buf_add_cstr(&text, at + strlen(from));
	struct config_input in = {.file = "c.json", .text = SPAN_LIT(BASE), .directory = "/d"};
	CHECK_INT(config_load(&sample_config, &in, a, &before, &report, NULL), OK);
	in.text = buf_span(&text);
	CHECK_INT(config_load(&sample_config, &in, a, &after, &report, NULL), OK);
	enum err rc = config_diff(&sample_config, &before, &after, a, &report, NULL);
	size_t n = 0;
	out[0] = '\0';
	for (size_t i = 0; i < report.n_issues && n < size; i++)
		n += (size_t)snprintf(
			out + n, size - n, "%s%s", i > 0 ? "; " : "", report.issues[i].text.p);
	buf_fini(&text);
	arena_free(&a);
	return rc;
}

/* The line of the only change. */
static void
add_line(const struct config_change *change, void *arg)
{
	struct buf *out = arg;

	buf_add_cstr(out, change->path);
	BUF_ADD_LIT(out, ": ");
	config_print_change(change, out);
	buf_add_char(out, '\n');
}

static void
check_line(struct arena *a, const char *before, const char *after, const char *line)
{
	struct config_report report;
	struct sample options[2];
	const char *texts[] = {before, after};
	struct buf out;

	for (size_t i = 0; i < 2; i++) {
		struct config_input in = {
			.file = "c.json", .text = span_cstr(texts[i]), .directory = "/d"};
		CHECK_INT(config_load(&sample_config, &in, a, &options[i], &report, NULL), OK);
	}
	buf_init(&out, BUF_CAP_FILE);
	config_compare(&sample_config, &options[0], &options[1], add_line, &out);
	buf_add_char(&out, '\0');
	CHECK_STR(out.p, line);
	buf_fini(&out);
}

#define WITH(gateway, identity)                                                                    \
	"{\"gateway\": {" gateway "}, \"policy\": {\"policy_bundle_paths\": [\"a\"]},"             \
	" \"identity\": {\"principal\": \"p\", \"agent\": \"a\", \"agent_secrets\": {" identity    \
	"}}}"

TEST(changes_are_shown_without_secrets)
{
	struct arena *a = arena_new(ARENA_BYTES);

#define SECRET "\"a\": \"one\""
	check_line(a, WITH("", SECRET), WITH("", SECRET), "");
	check_line(a, WITH("\"concurrency_limit\": 5", SECRET),
		WITH("\"concurrency_limit\": 6", SECRET), "gateway.concurrency_limit: 5 -> 6\n");
	check_line(a, WITH("\"listen\": \":1\"", SECRET), WITH("\"listen\": \":2\"", SECRET),
		"gateway.listen: \":1\" -> \":2\"\n");
	check_line(a, WITH("", SECRET ", \"b\": \"two\", \"c\": \"x\""),
		WITH("", "\"a\": \"three\", \"d\": \"two\", \"c\": \"x\""),
		"identity.agent_secrets: -\"b\" +\"d\" ~\"a\"\n");
	check_line(a, WITH("", SECRET "}, \"api_keys\": {\"hunter2\": \"p\""),
		WITH("", SECRET "}, \"api_keys\": {\"hunter3\": \"p\""),
		"identity.api_keys: changed\n");
	check_line(a, WITH("", SECRET "}, \"api_keys\": {\"hunter2\": \"p\""),
		WITH("", SECRET "}, \"api_keys\": {\"hunter2\": \"p\", \"hunter3\": \"p\""),
		"identity.api_keys: 1 entries -> 2\n");
	check_line(a, WITH("", SECRET "}, \"principal_agents\": {\"p\": [\"a\"]"),
		WITH("", SECRET "}, \"principal_agents\": {\"p\": [\"b\"]"),
		"identity.principal_agents: changed\n");
	arena_free(&a);
}

TEST(rows_are_compared_by_kind)
{
	static const struct {
		const char *from;
		const char *to;
		enum err rc;
		const char *said;
	} rows[] = {
		{"5", "5", OK, ""},
		{"5", "6", OK, "gateway.concurrency_limit: changed"},
		{"5,", "5, \"listen\": \":1\",", ERR_INVALID,
			"gateway.listen: cannot change while running"},
		{"5,", "5, \"transport\": \"unix\",", ERR_INVALID,
			"gateway.transport: cannot change while running"},
		{"5,", "6, \"cooldown_seconds\": 1,", ERR_INVALID,
			"gateway.cooldown_seconds: cannot change while running;"
			" gateway.concurrency_limit: changed"},
		{"\"key_file\": \"k\"", "\"key_file\": \"l\"", ERR_INVALID,
			"gateway.tls.key_file: cannot change while running"},
		{"[\"a\", \"b\"]", "[\"a\", \"c\"]", OK, "policy.policy_bundle_paths: changed"},
		{"\"org\", \"baseline\"", "\"baseline\", \"org\"", ERR_INVALID,
			"policy.policy_bundle_roles: cannot change while running"},
		{"hunter2", "hunter3", ERR_INVALID,
			"identity.agent_secrets: cannot change while running"},
		{"{\"k\": \"p\"}", "{\"j\": \"p\"}", ERR_INVALID,
			"identity.api_keys: cannot change while running"},
		{"{\"k\": \"p\"}", "{}", ERR_INVALID,
			"identity.api_keys: cannot change while running"},
		{"{\"p\": [\"a\"]}", "{\"p\": [\"b\"]}", ERR_INVALID,
			"identity.principal_agents: cannot change while running"},
		{"{\"p\": [\"a\"]}", "{\"q\": [\"a\"]}", ERR_INVALID,
			"identity.principal_agents: cannot change while running"},
		{"{\"id\": \"y\"}", "{\"id\": \"y\", \"burst\": 2}", ERR_INVALID,
			"rate_limits.principal_action: cannot change while running"},
		{", {\"id\": \"y\"}", "", ERR_INVALID,
			"rate_limits.principal_action: cannot change while running"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char said[512];
		enum err rc = diff(rows[i].from, rows[i].to, said, sizeof(said));
		if (rc != rows[i].rc || strcmp(said, rows[i].said) != 0)
			FAIL("%s -> %s: %s \"%s\"", rows[i].from, rows[i].to, err_name(rc), said);
	}
}

SUITE("config diff", TEST_ROW(rows_are_compared_by_kind),
	TEST_ROW(changes_are_shown_without_secrets))
