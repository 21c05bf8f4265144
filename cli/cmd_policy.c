/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos policy: one action file against bundles (nomos-mcp-cli.md 1.8), and the hash of bundles. The same loader and the same
 * evaluation as the gateway; signatures are verified where the configuration asks for it.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/version.h"
#include "command.h"
#include "policy/policy.h"
#include "policy_case.h"
#include "policy_warnings.h"

static int
fail_case(enum err rc, const struct errinfo *ei)
{
	return command_fail("%s: %s",
		rc == ERR_NORMALIZE ? "NORMALIZATION_ERROR" : "VALIDATION_ERROR", ei->msg);
}

static int
print_line(struct buf *b)
{
	buf_add_char(b, '\n');
	if (buf_failed(b))
		return command_fail("out of memory");
	if (fwrite(b->p, 1, b->n, stdout) != b->n || fflush(stdout) != 0)
		return command_fail("cannot write to stdout");
	return EXIT_DONE;
}

static void
build_test(struct buf *b, const struct policy_case *c, const struct decision *d)
{
	BUF_ADD_LIT(b, "{\"decision\":");
	json_quote(b, span_cstr(verdict_name(d->verdict)));
	BUF_ADD_LIT(b, ",\"matched_rule_ids\":[");
	for (size_t i = 0; i < d->n_rule_ids; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		json_quote(b, d->rule_ids[i]);
	}
	BUF_ADD_LIT(b, "],\"policy_bundle_hash\":");
	json_quote(b, span_cstr(policy_get_hash(c->policy)));
	BUF_ADD_LIT(b, ",\"reason_code\":");
	json_quote(b, span_cstr(reason_name(d->reason)));
	buf_add_char(b, '}');
}

static int
test_case(const struct policy_case *c)
{
	struct decision d;
	struct buf b;

	if (policy_eval(c->policy, c->action, c->arena, &d) != OK)
		return command_fail("out of memory");
	buf_init(&b, BUF_CAP_REPLY);
	build_test(&b, c, &d);
	int status = print_line(&b);
	buf_fini(&b);
	if (status == EXIT_DONE)
		log_ok("policy test: decision=%s matched=%zu bundle=%s", verdict_name(d.verdict),
			d.n_rule_ids, policy_get_hash(c->policy));
	return status;
}

static int
explain_case(const struct policy_case *c)
{
	struct policy_explain_options options = {
		.suggestions = c->options.policy.explain_suggestions,
		.with_exec_authorization = true,
		.with_near_misses = true,
		.engine_version = span_cstr(version_get()->version),
		.assurance_level = span_cstr(assurance_level(&c->options)),
	};
	const struct json *tree = NULL;
	struct decision d;
	struct errinfo ei;
	struct buf b;
	struct buf pretty;

	buf_init(&b, BUF_CAP_REPLY);
	buf_init(&pretty, BUF_CAP_FILE);
	enum err rc = policy_eval(c->policy, c->action, c->arena, &d);
	if (rc == OK)
		rc = policy_explain(c->policy, c->action, c->arena, &options, &b, &ei);
	if (rc == OK)
		rc = json_parse(buf_span(&b), c->arena, &tree, NULL, &ei);
	int status = EXIT_FAILED;
	if (rc != OK) {
		status = command_fail("out of memory");
	} else {
		json_pretty(tree, &pretty);
		status = print_line(&pretty);
	}
	if (status == EXIT_DONE)
		log_ok("policy explain: decision=%s reason=%s matched=%zu assurance=%s",
			verdict_name(d.verdict), reason_name(d.reason), d.n_rule_ids,
			assurance_level(&c->options));
	buf_fini(&b);
	buf_fini(&pretty);
	return status;
}

static int
run_case(
	const struct command *self, int argc, char **argv, int (*work)(const struct policy_case *c))
{
	const char *action = NULL;
	const char *bundle = NULL;
	const char *config = NULL;
	const struct flag flags[] = {
		{"action", "a", FLAG_TEXT, &action, "FILE", NULL,
			"the action with its identity, JSON"},
		{"bundle", "b", FLAG_TEXT, &bundle, "FILE[,FILE]", NULL,
			"policy bundles, layered in this order"},
		{"config", "c", FLAG_TEXT, &config, "FILE", NULL,
			"configuration for signatures, mode and labels"},
	};
	struct policy_case c;
	struct errinfo ei;
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (action == NULL || (bundle == NULL && config == NULL))
		return command_fail("both --action and --bundle are required");
	enum err rc = policy_case_load(&c, action, config, bundle, &ei);
	int status = EXIT_FAILED;
	if (rc == OK) {
		print_policy_warnings(c.policy);
		status = work(&c);
	} else {
		status = fail_case(rc, &ei);
	}
	policy_case_free(&c);
	return status;
}

static int
run_test(const struct command *self, int argc, char **argv)
{
	return run_case(self, argc, argv, test_case);
}

static int
run_explain(const struct command *self, int argc, char **argv)
{
	return run_case(self, argc, argv, explain_case);
}

static int
run_hash(const struct command *self, int argc, char **argv)
{
	struct policy_case c;
	struct errinfo ei;
	int rest = 0;
	enum flags_result f = flags_parse(self, NULL, 0, argc, argv, 64, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (rest == argc)
		return command_fail("name at least one bundle: %s", self->usage);
	struct buf list;
	buf_init(&list, BUF_CAP_RECORD);
	for (int i = rest; i < argc; i++) {
		buf_add_cstr(&list, argv[i]);
		buf_add_char(&list, ',');
	}
	enum err rc = policy_case_load(&c, NULL, NULL, buf_failed(&list) ? "" : list.p, &ei);
	int status = EXIT_DONE;
	if (rc == OK) {
		print_policy_warnings(c.policy);
		buf_reset(&list);
		buf_add_cstr(&list, policy_get_hash(c.policy));
		status = print_line(&list);
	} else {
		status = fail_case(rc, &ei);
	}
	buf_fini(&list);
	policy_case_free(&c);
	return status;
}

static const struct command subcommands[] = {
	{.name = "test",
		.summary = "Decide one action file",
		.usage = "nomos policy test --action FILE --bundle FILE[,FILE]",
		.examples = "  nomos policy test --action action.json --bundle policy.yaml\n",
		.run = run_test},
	{.name = "explain",
		.summary = "Decide one action file and say why",
		.usage = "nomos policy explain --action FILE --bundle FILE[,FILE] [--config FILE]",
		.examples = "  nomos policy explain --action action.json --bundle "
			    "base.yaml,repo.yaml\n",
		.run = run_explain},
	{.name = "hash",
		.summary = "Print the hash of a bundle, or the merged hash of several",
		.usage = "nomos policy hash FILE [FILE ...]",
		.run = run_hash},
};

const struct command cmd_policy = {
	.name = "policy",
	.summary = "Try policy bundles without a gateway",
	.subcommands = subcommands,
	.n_subcommands = sizeof(subcommands) / sizeof(subcommands[0]),
};
