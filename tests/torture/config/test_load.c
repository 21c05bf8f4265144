/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading, diff and dump with each allocation failing in turn: the right code, zeroed options,
 * nothing leaked, and a success at the end.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "config/print.h"
#include "unit/config/sample.h"
#include "support/test.h"

#define ARENA_BYTES ((size_t)1024 * 1024)
#define ATTEMPTS_MAX 5000

static const char good[] =
	"{\"gateway\": {\"listen\": \":1\", \"mode\": \"old\"}, \"policy\": "
	"{\"policy_bundle_paths\": [\"a\"]},"
	" \"identity\": {\"principal\": \"p\\u00e4\", \"agent\": \"a\", \"principal_agents\": "
	"{\"p\": [\"a\"]},"
	" \"agent_secrets\": {\"a\": \"12345678\"}}, \"mcp\": {\"enabled\": true},"
	" \"rate_limits\": {\"principal_action\": [{\"id\": \"x\"}]}}";
static const char bad[] =
	"{\"gatway\": {}, \"gateway\": {\"transport\": \"ftp\", \"concurrency_limit\": 0}}";

static enum err
load_once(struct span text, struct sample *o)
{
	static const char vars[] = "NOMOS_IDENTITY_API_KEY=nk_1_abcdefgh";
	struct span env = span_of(vars, sizeof(vars));
	struct config_input in = {
		.file = "conf/c.json", .text = text, .env = sample_getenv, .env_arg = &env};
	struct config_report report;
	struct errinfo ei;
	struct buf b;
	static const struct sample zero;
	struct arena *a = arena_new(ARENA_BYTES);

	if (a == NULL)
		return ERR_NOMEM;
	enum err rc = config_load(&sample_config, &in, a, o, &report, &ei);
	if (rc != OK)
		CHECK(memcmp(o, &zero, sizeof(zero)) == 0);
	if (rc == ERR_NOMEM || rc == ERR_TOO_LARGE)
		CHECK(ei.msg[0] != '\0');
	if (rc == OK && config_diff(&sample_config, o, o, a, &report, &ei) != OK)
		rc = ERR_NOMEM;
	if (rc == OK) {
		buf_init(&b, BUF_CAP_FILE);
		config_dump_json(&sample_config, o, &b);
		if (buf_failed(&b))
			rc = ERR_NOMEM;
		buf_fini(&b);
	}
	arena_free(&a);
	return rc;
}

static void
torture(struct span text, enum err want)
{
	struct sample o;
	unsigned long n = 0;
	unsigned long n_failed = 0;
	long live = mem_live();

	for (n = 1; n < ATTEMPTS_MAX; n++) {
		unsigned long before = mem_count();
		mem_fail_at(n);
		enum err rc = load_once(text, &o);
		mem_fail_at(0);
		CHECK_INT(mem_live(), live);
		if (mem_count() - before < n) {
			CHECK_INT(rc, want);
			break;
		}
		/* A failure may strike a text of a message only: then the errors still make it a
		 * refusal. */
		CHECK(rc == ERR_NOMEM || rc == ERR_TOO_LARGE || (rc == want && want != OK));
		n_failed++;
	}
	CHECK(n < ATTEMPTS_MAX);
	CHECK(n_failed > 2);
}

TEST(good_file)
{
	torture(span_of(good, sizeof(good) - 1), OK);
}

TEST(bad_file)
{
	torture(span_of(bad, sizeof(bad) - 1), ERR_INVALID);
}

SUITE("config torture", TEST_ROW(good_file), TEST_ROW(bad_file))
