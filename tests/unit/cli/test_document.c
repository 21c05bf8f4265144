/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The doctor's JSON: members and order of nomos-mcp-cli.md 2, one line, and no memory left or
 * lost when it runs out. */
#include "document.h"

#include "base/buf.h"
#include "base/mem.h"
#include "runtime/doctor.h"
#include "support/test.h"

static const struct doctor_check checks[] = {
	{.id = "a.one", .is_ok = true, .message = "one \"quoted\"", .hint = NULL},
	{.id = "b.two", .is_ok = false, .message = "two failed", .hint = "line\nbreak"},
};

TEST(all_members)
{
	struct doctor_report r = {.checks = checks,
		.n_checks = 2,
		.assurance = "GUARDED",
		.policy_hash = "abc",
		.sources_json = SPAN_LIT("[\"p#abc\"]"),
		.inputs_json = SPAN_LIT("[{\"hash\":\"abc\",\"path\":\"p\"}]")};
	struct errinfo ei;
	struct buf b;

	buf_init(&b, 4096);
	CHECK_INT(document_build_doctor(&r, "1.2.3", &b, &ei), OK);
	CHECK_SPAN(buf_span(&b),
		"{\"overall_status\":\"NOT_READY\",\"checks\":["
		"{\"id\":\"a.one\",\"status\":\"PASS\",\"message\":\"one \\\"quoted\\\"\"},"
		"{\"id\":\"b.two\",\"status\":\"FAIL\",\"message\":\"two "
		"failed\",\"hint\":\"line\\nbreak\"}],"
		"\"policy_bundle_hash\":\"abc\",\"policy_bundle_sources\":[\"p#abc\"],"
		"\"policy_bundle_inputs\":[{\"hash\":\"abc\",\"path\":\"p\"}],"
		"\"assurance_level\":\"GUARDED\",\"engine_version\":\"1.2.3\"}\n");
	buf_fini(&b);
}

TEST(what_is_not_known_is_left_out)
{
	struct doctor_report r = {.is_ready = true, .assurance = "NONE", .policy_hash = ""};
	struct errinfo ei;
	struct buf b;

	buf_init(&b, 4096);
	CHECK_INT(document_build_doctor(&r, "0", &b, &ei), OK);
	CHECK_SPAN(buf_span(&b), "{\"overall_status\":\"READY\",\"checks\":[],\"assurance_level\":"
				 "\"NONE\",\"engine_version\":\"0\"}\n");
	buf_fini(&b);
}

TEST(memory_that_runs_out)
{
	struct doctor_report r = {.checks = checks,
		.n_checks = 2,
		.assurance = "GUARDED",
		.policy_hash = "abc",
		.sources_json = SPAN_LIT("[]"),
		.inputs_json = SPAN_LIT("[]")};
	enum err rc = ERR_NOMEM;
	unsigned long at = 0;

	while (rc != OK && at < 1000) {
		struct errinfo ei;
		struct buf b;
		long live = mem_live();

		buf_init(&b, 4096);
		at++;
		mem_fail_at(at);
		rc = document_build_doctor(&r, "1", &b, &ei);
		mem_fail_at(0);
		if (rc != OK && rc != ERR_NOMEM)
			FAIL("allocation %lu: %s", at, err_name(rc));
		buf_fini(&b);
		CHECK_INT(mem_live(), live);
	}
	CHECK_INT(rc, OK);
	CHECK(at > 10);
}

SUITE("document", TEST_ROW(all_members), TEST_ROW(what_is_not_known_is_left_out),
	TEST_ROW(memory_that_runs_out))
