/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos actions: those whose outcome nobody knows, and what an operator found out about one (decisions 25), over HTTP with the
 * operator's own key. One thread.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"
#include "command.h"
#include "operator_call.h"
#include "stream.h"

static void
add_number(struct buf *out, const struct json *tree, const char *name)
{
	const struct json *v = json_find_cstr(tree, name);

	operator_add_word(out, v != NULL && v->type == JSON_NUMBER ? v->source : SPAN_NONE);
}

static void
print_unknown(struct buf *out, const struct json *tree)
{
	static const char *const members[] = {
		"timestamp", "principal", "agent", "action_type", "resource", "action_id"};
	const struct json *rows = json_find_cstr(tree, "unknown");

	for (const struct json *r = rows != NULL ? rows->first : NULL; r != NULL; r = r->next) {
		add_number(out, r, "seq");
		for (size_t i = 0; i < ARRAY_LEN(members); i++)
			operator_add_word(out, operator_find_text(r, members[i]));
		buf_add_char(out, '\n');
	}
}

/* The member alone: the route tells more than was asked for. */
static void
print_unknown_json(struct buf *out, const struct json *tree)
{
	const struct json *rows = json_find_cstr(tree, "unknown");

	BUF_ADD_LIT(out, "{\"unknown\":");
	buf_add_span(out, rows != NULL ? rows->source : SPAN_LIT("[]"));
	BUF_ADD_LIT(out, "}\n");
}

static int
run_unknown(const struct command *self, int argc, char **argv)
{
	struct operator_flags o = {.format = NULL};
	const struct flag flags[] = {OPERATOR_FLAGS(o)};
	bool is_json = false;
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (!operator_parse_format(o.format, &is_json))
		return EXIT_USAGE;
	static const struct operator_question q = {
		.path = "/api/ui/overview", .answer_has = "unknown"};

	return operator_call(&o, &q, false, is_json ? print_unknown_json : print_unknown);
}

struct settling {
	struct operator_flags o;
	const char *outcome;
	const char *reason;
	const char *seq;
	bool is_json;
};

static void
print_settled(struct buf *out, const struct json *tree)
{
	BUF_ADD_LIT(out, "settled");
	add_number(out, tree, "intent_seq");
	buf_add_char(out, '\n');
}

static int
settle(const struct settling *s)
{
	char path[OPERATOR_PATH_MAX];
	struct buf body;
	int status;

	snprintf(path, sizeof(path), "/api/ui/actions/%s/settle", s->seq);
	buf_init(&body, BUF_CAP_RECORD);
	buf_printf(&body, "{\"outcome\":\"%s\",\"reason\":", s->outcome);
	json_quote(&body, span_cstr(s->reason));
	buf_add_char(&body, '}');
	const struct operator_question q = {
		.path = path, .body = buf_span(&body), .answer_has = "settled"};
	status = buf_failed(&body) ? command_fail("out of memory")
				   : operator_call(&s->o, &q, s->is_json, print_settled);
	buf_fini(&body);
	return status;
}

/* NULL, or what is wrong. */
static const char *
check(const struct settling *s)
{
	uint64_t seq = 0;

	if (s->seq == NULL || !parse_uint(span_cstr(s->seq), INT64_MAX, &seq) || seq == 0)
		return "name the record by its number, as `nomos actions unknown` prints it";
	if (s->outcome == NULL ||
		(strcmp(s->outcome, "succeeded") != 0 && strcmp(s->outcome, "failed") != 0))
		return "--outcome is succeeded or failed";
	return s->reason == NULL || s->reason[0] == '\0' ? "--reason is required: it is recorded"
							 : NULL;
}

static int
run_settle(const struct command *self, int argc, char **argv)
{
	struct settling s = {.seq = NULL};
	const struct flag flags[] = {
		OPERATOR_FLAGS(s.o),
		{"outcome", NULL, FLAG_TEXT, &s.outcome, "OUTCOME", NULL,
			"what became of it: succeeded or failed"},
		{"reason", "r", FLAG_TEXT, &s.reason, "TEXT", NULL,
			"how you know; it is recorded with your name"},
	};
	enum flags_result f =
		flags_parse_with_argument(self, flags, ARRAY_LEN(flags), argc, argv, &s.seq);

	if (f != FLAGS_OK)
		return flags_exit(f);
	const char *problem = check(&s);
	if (problem != NULL) {
		(void)command_fail("%s", problem);
		return EXIT_USAGE;
	}
	if (!operator_parse_format(s.o.format, &s.is_json))
		return EXIT_USAGE;
	return settle(&s);
}

static const struct command subcommands[] = {
	{
		.name = "unknown",
		.summary = "Actions whose outcome nobody knows",
		.usage = "nomos actions unknown [-c FILE|--url URL] [--format text|json]",
		.run = run_unknown,
	},
	{
		.name = "settle",
		.summary = "Record what became of one",
		.usage = "nomos actions settle [-c FILE|--url URL] --outcome succeeded|failed "
			 "--reason TEXT [--format text|json] SEQ",
		.run = run_settle,
	},
};

const struct command cmd_actions = {
	.name = "actions",
	.summary = "See and settle actions whose outcome is unknown",
	.usage = "nomos actions unknown|settle",
	.examples = "  nomos actions unknown -c nomos.yaml\n"
		    "  nomos actions settle -c nomos.yaml --outcome succeeded --reason \"the order "
		    "shows the refund\" 17\n",
	.subcommands = subcommands,
	.n_subcommands = ARRAY_LEN(subcommands),
};
