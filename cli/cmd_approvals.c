/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos approvals: what waits for a person, and the decision (decisions 30). Looking reads the ledger of the configuration, or asks
 * a gateway when a URL or a key is given; deciding is by HTTP with the caller's own key alone: who can write the
 * ledger's file can approve nothing. One thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "approvals_file.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"
#include "command.h"
#include "operator_call.h"
#include "pipeline/approvals.h"
#include "stream.h"

#define ID_BYTES_MAX 64

struct approvals {
	struct operator_flags o;
	const char *limit;
	const char *decision;
	const char *reason;
	const char *id;
	bool is_all;
	bool ack_redacted;
};

static void
add_row(struct buf *out, const struct json *row)
{
	operator_add_word(out, operator_find_text(row, "approval_id"));
	operator_add_word(out, operator_find_text(row, "status"));
	operator_add_word(out, operator_find_text(row, "action_type"));
	operator_add_word(out, operator_find_text(row, "resource"));
	BUF_ADD_LIT(out, " expires=");
	stream_add_visible(out, operator_find_text(row, "expires_at"));
	buf_add_char(out, '\n');
}

static void
add_decision(struct buf *out, const struct json *tree)
{
	operator_add_word(out, operator_find_text(tree, "approval_id"));
	operator_add_word(out, operator_find_text(tree, "status"));
	BUF_ADD_LIT(out, " expires=");
	stream_add_visible(out, operator_find_text(tree, "approval_expires_at"));
	buf_add_char(out, '\n');
}

static void
print_list(struct buf *out, const struct json *tree)
{
	const struct json *rows = json_find_cstr(tree, "approvals");

	for (const struct json *r = rows != NULL ? rows->first : NULL; r != NULL; r = r->next)
		add_row(out, r);
}

/* ---- the subcommands ---- */

/* Somebody asks for a gateway, or as somebody. */
static bool
is_remote(const struct operator_flags *o)
{
	return o->to.url != NULL || o->where.key_file != NULL ||
	       span_trim(span_cstr(getenv("NOMOS_API_KEY"))).n > 0 || o->where.config == NULL;
}

static int
look_into_file(const struct approvals *a, const struct approvals_page *page, bool is_json,
	operator_print_fn as_text)
{
	struct buf reply;
	struct errinfo ei;
	int status;

	buf_init(&reply, OPERATOR_REPLY_BYTES_MAX + 1);
	enum err rc = approvals_file_read(
		a->o.where.config, a->id != NULL ? span_cstr(a->id) : SPAN_NONE, page, &reply, &ei);
	status = rc == OK ? operator_print_reply(&reply, is_json, as_text)
			  : command_fail("%s", ei.msg);
	buf_fini(&reply);
	return status;
}

static int
run_list(const struct command *self, int argc, char **argv)
{
	struct approvals a = {.limit = "50"};
	const struct flag flags[] = {
		OPERATOR_FLAGS(a.o),
		{"limit", NULL, FLAG_TEXT, &a.limit, "N", NULL, "at most so many, 1 to 200 (50)"},
		{"all", NULL, FLAG_SWITCH, &a.is_all, NULL, NULL, "also those that are over"},
	};
	char path[OPERATOR_PATH_MAX];
	bool is_json = true;
	uint64_t limit;
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (!operator_parse_format(a.o.format, &is_json))
		return EXIT_USAGE;
	if (!parse_uint(span_cstr(a.limit), 200, &limit) || limit == 0) {
		(void)command_fail("--limit is 1 to 200");
		return EXIT_USAGE;
	}
	snprintf(path, sizeof(path), "/api/ui/approvals?limit=%u&status=%s", (unsigned)limit,
		a.is_all ? "all" : "pending");
	if (!is_remote(&a.o)) {
		const struct approvals_page page = {.limit = (size_t)limit, .is_all = a.is_all};

		return look_into_file(&a, &page, is_json, print_list);
	}
	const struct operator_question q = {.path = path, .answer_has = "approvals"};
	return operator_call(&a.o, &q, is_json, print_list);
}

/* The id goes into a path: letters, digits and _ alone. */
static bool
is_id(const char *id)
{
	size_t n = 0;

	for (; id[n] != '\0'; n++) {
		bool ok = (id[n] >= 'a' && id[n] <= 'z') || (id[n] >= '0' && id[n] <= '9') ||
			  id[n] == '_';

		if (!ok || n == ID_BYTES_MAX)
			return false;
	}
	return n > 0;
}

/* False: *status is what to exit with. */
static bool
parse_with_id(const struct command *self, const struct flag *flags, size_t n_flags, int argc,
	char **argv, struct approvals *a, bool *is_json, int *status)
{
	enum flags_result f = flags_parse_with_argument(self, flags, n_flags, argc, argv, &a->id);

	*status = f == FLAGS_OK ? EXIT_USAGE : flags_exit(f);
	*is_json = false;
	if (f != FLAGS_OK)
		return false;
	if (a->id != NULL && is_id(a->id))
		return operator_parse_format(a->o.format, is_json);
	(void)command_fail("name the approval: %s", self->usage);
	return false;
}

static int
run_show(const struct command *self, int argc, char **argv)
{
	struct approvals a = {.limit = NULL};
	const struct flag flags[] = {OPERATOR_FLAGS(a.o)};
	char path[OPERATOR_PATH_MAX];
	bool is_json;
	int status;

	if (!parse_with_id(self, flags, ARRAY_LEN(flags), argc, argv, &a, &is_json, &status))
		return status;
	snprintf(path, sizeof(path), "/api/ui/approvals/%s", a.id);
	const struct operator_question q = {.path = path, .answer_has = "approval_id"};
	return is_remote(&a.o) ? operator_call(&a.o, &q, is_json, NULL)
			       : look_into_file(&a, NULL, is_json, NULL);
}

#define REASON_FLAG(a)                                                                             \
	{                                                                                          \
		"reason", "r", FLAG_TEXT, &(a).reason, "TEXT", NULL, "why; it is recorded"         \
	}

static int
decide(const struct command *self, struct approvals *a, const struct flag *flags, size_t n_flags,
	int argc, char **argv)
{
	struct buf body;
	bool is_json;
	int status;

	if (!parse_with_id(self, flags, n_flags, argc, argv, a, &is_json, &status))
		return status;
	buf_init(&body, BUF_CAP_RECORD);
	BUF_ADD_LIT(&body, "{\"approval_id\":");
	json_quote(&body, span_cstr(a->id));
	buf_printf(&body, ",\"decision\":\"%s\",\"ack_redacted\":%s,\"reason\":", a->decision,
		a->ack_redacted ? "true" : "false");
	json_quote(&body, span_cstr(a->reason));
	buf_add_char(&body, '}');
	const struct operator_question q = {
		.path = "/approvals/decide", .body = buf_span(&body), .answer_has = "approval_id"};
	status = buf_failed(&body) ? command_fail("out of memory")
				   : operator_call(&a->o, &q, is_json, add_decision);
	buf_fini(&body);
	return status;
}

static int
run_approve(const struct command *self, int argc, char **argv)
{
	struct approvals a = {.decision = "approve", .reason = ""};
	const struct flag flags[] = {
		OPERATOR_FLAGS(a.o),
		REASON_FLAG(a),
		{"ack-redacted", NULL, FLAG_SWITCH, &a.ack_redacted, NULL, NULL,
			"approve although some of the parameters is hidden"},
	};

	return decide(self, &a, flags, ARRAY_LEN(flags), argc, argv);
}

/* Saying no to what is hidden takes nothing. */
static int
run_deny(const struct command *self, int argc, char **argv)
{
	struct approvals a = {.decision = "deny", .reason = ""};
	const struct flag flags[] = {OPERATOR_FLAGS(a.o), REASON_FLAG(a)};

	return decide(self, &a, flags, ARRAY_LEN(flags), argc, argv);
}

static const struct command subcommands[] = {
	{
		.name = "list",
		.summary = "What waits for a person",
		.usage = "nomos approvals list [-c FILE] [--url URL] [--limit N] [--all] [--format "
			 "json|text]",
		.run = run_list,
	},
	{
		.name = "show",
		.summary = "One approval, with its parameters",
		.usage = "nomos approvals show [-c FILE] [--url URL] [--format text|json] ID",
		.run = run_show,
	},
	{
		.name = "approve",
		.summary = "Let it be done",
		.usage = "nomos approvals approve [-c FILE|--url URL] [--reason TEXT] "
			 "[--ack-redacted] [--format text|json] ID",
		.run = run_approve,
	},
	{
		.name = "deny",
		.summary = "Do not let it be done",
		.usage = "nomos approvals deny [-c FILE|--url URL] [--reason TEXT] [--format "
			 "text|json] ID",
		.run = run_deny,
	},
};

const struct command cmd_approvals = {
	.name = "approvals",
	.summary = "See and decide what waits for a person",
	.usage = "nomos approvals list|show|approve|deny",
	.examples = "  nomos approvals list -c nomos.yaml --format text\n"
		    "  nomos approvals approve -c nomos.yaml -k keys/operator "
		    "apr_0123456789abcdef01234567\n",
	.subcommands = subcommands,
	.n_subcommands = ARRAY_LEN(subcommands),
};
