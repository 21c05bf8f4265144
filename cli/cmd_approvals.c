/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos approvals: what waits for a person, and the decision, over HTTP with the caller's own key (decisions 30): who can write the
 * ledger's file can approve nothing. One thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/parse.h"
#include "command.h"
#include "credentials.h"
#include "net/http_client.h"
#include "stream.h"

#define REPLY_BYTES_MAX (8 * 1024 * 1024)
#define REPLY_ARENA_BYTES (128 * 1024 * 1024)
#define TIMEOUT_NS (30 * NS_PER_SEC)
#define PATH_MAX_BYTES 256
#define ID_BYTES_MAX 64

struct approvals {
	struct credentials_flags where;
	const char *url;
	const char *limit;
	const char *format;
	const char *reason;
	const char *id;
	bool is_all;
	bool ack_redacted;
};

#define WHERE_FLAGS(a)                                                                             \
	CREDENTIALS_OPERATOR_FLAGS((a).where),                                                     \
		{"url", "u", FLAG_TEXT, &(a).url, "URL", "NOMOS_URL",                              \
			"gateway; default: gateway.listen of the configuration"},                  \
	{                                                                                          \
		"format", NULL, FLAG_TEXT, &(a).format, "FORMAT", NULL, "text or json"             \
	}

/* ---- one exchange ---- */

static struct span
find_text(const struct json *tree, const char *name)
{
	const struct json *v = json_find_cstr(tree, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

static enum err
call(const struct approvals *a, const char *path, struct span body, struct buf *reply,
	unsigned *status, struct errinfo *ei)
{
	struct http_client_options options;
	struct http_client *client = NULL;
	struct credentials c;
	char url[CREDENTIALS_URL_MAX];
	enum err rc = credentials_load_operator(&a->where, &c, ei);

	if (rc == OK)
		rc = credentials_build_url(&c, a->url, path, url, ei);
	http_client_options_init(&options);
	options.total_timeout_ns = TIMEOUT_NS;
	options.max_reply_bytes = REPLY_BYTES_MAX;
	options.allow_link_local = true; /* the operator typed the address */
	if (rc == OK)
		rc = http_client_new(&options, &client, ei);
	if (rc == OK) {
		struct http_header headers[] = {
			{SPAN_LIT("Authorization"), buf_span(&c.authorization)},
			{SPAN_LIT("Content-Type"), SPAN_LIT("application/json")},
		};
		struct http_call http = {
			.is_get = body.n == 0,
			.url = span_cstr(url),
			.headers = headers,
			.n_headers = body.n == 0 ? 1 : 2,
			.body = body,
			.reply = reply,
		};

		rc = http_client_call(client, &http, ei);
		*status = http.status;
		if (rc != OK)
			rc = ERR_WRAP(ei, rc, "%s (is the gateway running?)", url);
	}
	http_client_free(&client);
	credentials_wipe(&c);
	return rc;
}

static int
say_refusal(unsigned status, const struct json *tree)
{
	struct span reason = find_text(tree, "reason");
	struct buf text;
	int rc;

	buf_init(&text, BUF_CAP_FILE);
	stream_add_visible(&text, reason);
	if (status == 401)
		rc = command_fail("%u: %s; check the key (--key-file, NOMOS_API_KEY, keys/operator "
				  "beside the configuration)",
			status, text.n > 0 ? text.p : "not authenticated");
	else
		rc = command_fail(
			"%u: %s", status, text.n > 0 ? text.p : "no nomos gateway answers");
	buf_fini(&text);
	return rc;
}

static void
add_word(struct buf *out, struct span v)
{
	if (out->n > 0 && out->p[out->n - 1] != '\n')
		buf_add_char(out, ' ');
	stream_add_visible(out, v.n > 0 ? v : SPAN_LIT("-"));
}

static void
add_row(struct buf *out, const struct json *row)
{
	add_word(out, find_text(row, "approval_id"));
	add_word(out, find_text(row, "status"));
	add_word(out, find_text(row, "action_type"));
	add_word(out, find_text(row, "resource"));
	BUF_ADD_LIT(out, " expires=");
	stream_add_visible(out, find_text(row, "expires_at"));
	buf_add_char(out, '\n');
}

static void
add_decision(struct buf *out, const struct json *tree)
{
	add_word(out, find_text(tree, "approval_id"));
	add_word(out, find_text(tree, "status"));
	BUF_ADD_LIT(out, " expires=");
	stream_add_visible(out, find_text(tree, "approval_expires_at"));
	buf_add_char(out, '\n');
}

typedef void (*print_fn)(struct buf *out, const struct json *tree);

static void
print_list(struct buf *out, const struct json *tree)
{
	const struct json *rows = json_find_cstr(tree, "approvals");

	for (const struct json *r = rows != NULL ? rows->first : NULL; r != NULL; r = r->next)
		add_row(out, r);
}

static int
print(const struct buf *reply, const struct json *tree, bool is_json, print_fn as_text)
{
	struct buf out;
	int status;

	buf_init(&out, BUF_CAP_FILE);
	if (is_json || as_text == NULL) {
		struct buf pretty;

		buf_init(&pretty, BUF_CAP_FILE);
		json_pretty(tree, &pretty);
		buf_add_char(&pretty, '\n');
		/* JSON for programs stays as it is. */
		if (is_json)
			buf_add_span(&out, buf_span(reply));
		else
			stream_add_visible(&out, buf_span(&pretty));
		buf_fini(&pretty);
	} else {
		as_text(&out, tree);
	}
	status = buf_failed(&out) ? command_fail("out of memory") : stream_print_buf(&out);
	buf_fini(&out);
	return status;
}

static int
exchange(const struct approvals *a, const char *path, struct span body, bool is_json,
	print_fn as_text)
{
	struct arena *arena = arena_new(REPLY_ARENA_BYTES);
	const struct json *tree = NULL;
	struct buf reply;
	struct errinfo ei;
	unsigned http_status = 0;
	int status;

	buf_init(&reply, REPLY_BYTES_MAX + 1);
	enum err rc = arena != NULL ? call(a, path, body, &reply, &http_status, &ei)
				    : ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc == OK && json_parse(buf_span(&reply), arena, &tree, NULL, &ei) != OK)
		tree = NULL;
	if (rc != OK)
		status = command_fail("%s", ei.msg);
	else if (http_status != 200 || tree == NULL)
		status = say_refusal(http_status, tree);
	else
		status = print(&reply, tree, is_json, as_text);
	buf_fini(&reply);
	arena_free(&arena);
	return status;
}

/* ---- the subcommands ---- */

/* NULL: what the subcommand does without it. False: said so. */
static bool
parse_format(const char *format, bool *is_json)
{
	if (format == NULL)
		return true;
	*is_json = span_eq_cstr(span_cstr(format), "json");
	if (*is_json || span_eq_cstr(span_cstr(format), "text"))
		return true;
	(void)command_fail("--format is text or json");
	return false;
}

static int
run_list(const struct command *self, int argc, char **argv)
{
	struct approvals a = {.limit = "50"};
	const struct flag flags[] = {
		WHERE_FLAGS(a),
		{"limit", NULL, FLAG_TEXT, &a.limit, "N", NULL, "at most so many, 1 to 200 (50)"},
		{"all", NULL, FLAG_SWITCH, &a.is_all, NULL, NULL, "also those that are over"},
	};
	char path[PATH_MAX_BYTES];
	bool is_json = true;
	uint64_t limit;
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (!parse_format(a.format, &is_json))
		return EXIT_USAGE;
	if (!parse_uint(span_cstr(a.limit), 200, &limit) || limit == 0) {
		(void)command_fail("--limit is 1 to 200");
		return EXIT_USAGE;
	}
	snprintf(path, sizeof(path), "/api/ui/approvals?limit=%u&status=%s", (unsigned)limit,
		a.is_all ? "all" : "pending");
	return exchange(&a, path, SPAN_NONE, is_json, print_list);
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

/* Flags stand before the id or behind it. False: *status is what to exit with. */
static bool
parse_with_id(const struct command *self, const struct flag *flags, size_t n_flags, int argc,
	char **argv, struct approvals *a, bool *is_json, int *status)
{
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, n_flags, argc, argv, argc, &rest);

	*status = EXIT_USAGE;
	*is_json = false;
	if (f == FLAGS_OK && rest < argc) {
		a->id = argv[rest];
		argv[rest] = argv[0];
		f = flags_parse(self, flags, n_flags, argc - rest, argv + rest, 0, &rest);
	}
	if (f != FLAGS_OK) {
		*status = flags_exit(f);
		return false;
	}
	if (a->id != NULL && is_id(a->id))
		return parse_format(a->format, is_json);
	(void)command_fail("name the approval: %s", self->usage);
	return false;
}

static int
run_show(const struct command *self, int argc, char **argv)
{
	struct approvals a = {.limit = NULL};
	const struct flag flags[] = {WHERE_FLAGS(a)};
	char path[PATH_MAX_BYTES];
	bool is_json;
	int status;

	if (!parse_with_id(self, flags, ARRAY_LEN(flags), argc, argv, &a, &is_json, &status))
		return status;
	snprintf(path, sizeof(path), "/api/ui/approvals/%s", a.id);
	return exchange(&a, path, SPAN_NONE, is_json, NULL);
}

static int
decide(const struct command *self, int argc, char **argv, const char *decision)
{
	struct approvals a = {.reason = ""};
	const struct flag flags[] = {
		WHERE_FLAGS(a),
		{"reason", "r", FLAG_TEXT, &a.reason, "TEXT", NULL, "why; it is recorded"},
		{"ack-redacted", NULL, FLAG_SWITCH, &a.ack_redacted, NULL, NULL,
			"approve although some of the parameters is hidden"},
	};
	struct buf body;
	bool is_json;
	int status;

	if (!parse_with_id(self, flags, ARRAY_LEN(flags), argc, argv, &a, &is_json, &status))
		return status;
	buf_init(&body, BUF_CAP_RECORD);
	BUF_ADD_LIT(&body, "{\"approval_id\":");
	json_quote(&body, span_cstr(a.id));
	buf_printf(&body, ",\"decision\":\"%s\",\"ack_redacted\":%s,\"reason\":", decision,
		a.ack_redacted ? "true" : "false");
	json_quote(&body, span_cstr(a.reason));
	buf_add_char(&body, '}');
	status = buf_failed(&body) ? command_fail("out of memory")
				   : exchange(&a, "/approvals/decide", buf_span(&body), is_json,
					     add_decision);
	buf_fini(&body);
	return status;
}

static int
run_approve(const struct command *self, int argc, char **argv)
{
	return decide(self, argc, argv, "approve");
}

static int
run_deny(const struct command *self, int argc, char **argv)
{
	return decide(self, argc, argv, "deny");
}

static const struct command subcommands[] = {
	{
		.name = "list",
		.summary = "What waits for a person",
		.usage = "nomos approvals list [-c FILE|--url URL] [--limit N] [--all] [--format "
			 "json|text]",
		.run = run_list,
	},
	{
		.name = "show",
		.summary = "One approval, with its parameters",
		.usage = "nomos approvals show [-c FILE|--url URL] [--format text|json] ID",
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
