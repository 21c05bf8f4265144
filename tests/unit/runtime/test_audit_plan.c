/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* audit.sink and audit.required as operators write them, and what they come to (nomos-http.md 3.2; decisions 10, 21). */
#include "runtime/options.h"

#include <string.h>

#include "base/arena.h"
#include "support/test.h"

struct row {
	const char *sink;
	const char *required;
	bool is_stateless;
	const char *error; /* NULL: fine */
	size_t n_sinks;
	enum ledger_required want;
};

static const struct row rows[] = {
	{"", "", false, NULL, 0, LEDGER_REQUIRED_LEDGER},
	{"stdout", "", false, NULL, 1, LEDGER_REQUIRED_LEDGER},
	{" stdout , stderr ,", "", false, NULL, 2, LEDGER_REQUIRED_LEDGER},
	{"sqlite:/x/ledger.db", "", false, NULL, 0, LEDGER_REQUIRED_LEDGER},
	{"sqlite:///x/ledger.db,stdout", "all", false, NULL, 1, LEDGER_REQUIRED_ALL},
	{"stdout,webhook:http://127.0.0.1:1/x", "webhook", false, NULL, 2, LEDGER_REQUIRED_NAMED},
	{"webhook:http://a.example/x,webhook:http://b.example/x", "any", false, NULL, 2,
		LEDGER_REQUIRED_ANY},
	{"stdout", "ledger", false, NULL, 1, LEDGER_REQUIRED_LEDGER},
	{"stdout", "", true, NULL, 1, LEDGER_REQUIRED_ANY},
	{"file:/x/trail.jsonl,file:///y/trail.jsonl", "file", false, NULL, 2,
		LEDGER_REQUIRED_NAMED},
	{"file:", "", false, "file sink path is required", 0, LEDGER_REQUIRED_LEDGER},
	{"file:/x,file:/x", "", false, "twice", 0, LEDGER_REQUIRED_LEDGER},
	{"stdout,file:/x", "", true, "file audit sink is not allowed in runtime.stateless_mode", 0,
		LEDGER_REQUIRED_LEDGER},
	{"sqlite:", "", false, "sqlite sink path is required", 0, LEDGER_REQUIRED_LEDGER},
	{"syslog", "", false, "unsupported audit sink: word 1 of audit.sink (", 0,
		LEDGER_REQUIRED_LEDGER},
	{"syslog:secret", "", false, "unsupported audit sink \"syslog\" (", 0,
		LEDGER_REQUIRED_LEDGER},
	/* A URL that was cut at its comma. */
	{"webhook:http://a.example/x?key=a,secret", "", false,
		"unsupported audit sink: word 2 of audit.sink (", 0, LEDGER_REQUIRED_LEDGER},
	{"webhook:ftp://x/y", "", false, "webhook", 0, LEDGER_REQUIRED_LEDGER},
	{"webhook:http://user:pw@x/y", "", false, "webhook", 0, LEDGER_REQUIRED_LEDGER},
	{"stdout,stdout", "", false, "twice", 0, LEDGER_REQUIRED_LEDGER},
	{"stdout", "webhook", false, "there is no sink \"webhook\"", 0, LEDGER_REQUIRED_LEDGER},
	{"", "all", false, "no valid audit sinks configured", 0, LEDGER_REQUIRED_LEDGER},
	{"", "", true, "no valid audit sinks configured", 0, LEDGER_REQUIRED_LEDGER},
};

TEST(each_row)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct ledger_section ledger = {.path = SPAN_LIT("/x/ledger.db")};
		struct audit_section audit = {
			.sink = span_cstr(r->sink), .required = span_cstr(r->required)};
		struct audit_plan plan;
		struct errinfo ei = {0};
		enum err rc = audit_plan_parse(&ledger, &audit, r->is_stateless, &plan, &ei);

		if (r->error != NULL) {
			if (rc == OK || strstr(ei.msg, r->error) == NULL)
				FAIL("row %zu: \"%s\" is not refused for \"%s\"", i, ei.msg,
					r->error);
			CHECK(strstr(ei.msg, "secret") == NULL);
			continue;
		}
		if (rc != OK || plan.n_sinks != r->n_sinks || plan.required != r->want)
			FAIL("row %zu: %s, %zu sinks, required %d", i, ei.msg, plan.n_sinks,
				(int)plan.required);
	}
}

TEST(only_the_named_sink_is_required)
{
	struct ledger_section ledger = {.path = SPAN_LIT("/x/ledger.db")};
	struct audit_section audit = {.sink = SPAN_LIT("stdout,webhook:http://127.0.0.1:1/x"),
		.required = SPAN_LIT("webhook")};
	struct audit_plan plan;

	CHECK_INT(audit_plan_parse(&ledger, &audit, false, &plan, NULL), OK);
	CHECK(!plan.sinks[0].is_required);
	CHECK(plan.sinks[1].is_required);
}

TEST(sinks_are_made_and_a_failure_leaves_none)
{
	struct arena *a = arena_new(65536);
	struct ledger_section ledger = {.path = SPAN_LIT("/x/ledger.db"), .queue_max = 8};
	struct audit_section audit = {.sink = SPAN_LIT("stdout,webhook:http://127.0.0.1:1/x"),
		.required = SPAN_LIT("stdout"),
		.checkpoint_every = 5,
		.required_deadline_ms = 7,
		.webhook = {.timeout_ms = 100}};
	struct approval_notify_section receiver = {.name = SPAN_LIT("desk"),
		.url = SPAN_LIT("http://127.0.0.1:1/x"),
		.timeout_ms = 100};
	struct approvals_section approvals = {.notify = {&receiver, 1}};
	struct audit_plan plan;
	struct ledger_options o;

	CHECK_INT(audit_plan_parse(&ledger, &audit, false, &plan, NULL), OK);
	CHECK_INT(audit_plan_build(&plan, &ledger, &audit, &approvals, a, &o, NULL), OK);
	CHECK_INT(o.n_sinks, 2); /* approvals are off */
	for (size_t i = 0; i < o.n_sinks; i++)
		o.sinks[i]->ops->free(o.sinks[i]);
	approvals.enabled = true;
	CHECK_INT(audit_plan_build(&plan, &ledger, &audit, &approvals, a, &o, NULL), OK);
	CHECK_INT(o.n_sinks, 3);
	CHECK_STR(o.sinks[2]->name, "notify:desk");
	CHECK(o.sinks[2]->is_advisory && !o.sinks[1]->is_advisory);
	CHECK_INT(o.checkpoint_every, 5);
	CHECK_INT(o.sink_deadline_ms, 7);
	CHECK_STR(o.sinks[0]->name, "stdout");
	CHECK(o.sinks[0]->is_required && !o.sinks[1]->is_required);
	CHECK(strncmp(o.sinks[1]->name, "webhook:", 8) == 0);
	for (size_t i = 0; i < o.n_sinks; i++)
		o.sinks[i]->ops->free(o.sinks[i]);

	receiver.url = SPAN_LIT("nonsense");
	CHECK(audit_plan_build(&plan, &ledger, &audit, &approvals, a, &o, NULL) != OK);
	CHECK_INT(o.n_sinks, 0);
	plan.sinks[1].url = SPAN_LIT("nonsense");
	CHECK(audit_plan_build(&plan, &ledger, &audit, &approvals, a, &o, NULL) != OK);
	CHECK_INT(o.n_sinks, 0);
	arena_free(&a);
}

SUITE("audit plan", TEST_ROW(each_row), TEST_ROW(only_the_named_sink_is_required),
	TEST_ROW(sinks_are_made_and_a_failure_leaves_none))
