/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Asks, and prints the answer or why there is none. */
#include "operator_call.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/visible.h"
#include "command.h"
#include "net/http_client.h"
#include "stream.h"

#define REPLY_ARENA_BYTES (128 * 1024 * 1024)
#define TIMEOUT_NS (30 * NS_PER_SEC)

struct span
operator_find_text(const struct json *tree, const char *name)
{
	const struct json *v = json_find_cstr(tree, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

static enum err
call(const struct operator_flags *f, const struct operator_question *q, struct buf *reply,
	unsigned *status, struct errinfo *ei)
{
	struct http_client_options options;
	struct http_client *client = NULL;
	struct credentials c;
	struct target to;
	enum err rc = credentials_load_operator(&f->where, &c, ei);

	if (rc == OK)
		rc = target_find(&f->to, credentials_view_gateway(&c), q->path, &to, ei);
	http_client_options_init(&options);
	options.total_timeout_ns = TIMEOUT_NS;
	options.max_reply_bytes = OPERATOR_REPLY_BYTES_MAX;
	target_fill_options(&f->to, &options);
	if (rc == OK)
		rc = http_client_new(&options, &client, ei);
	if (rc == OK) {
		struct http_header headers[] = {
			{SPAN_LIT("Authorization"), buf_span(&c.authorization)},
			{SPAN_LIT("Content-Type"), SPAN_LIT("application/json")},
		};
		struct http_call http = {
			.is_get = q->body.n == 0,
			.headers = headers,
			.n_headers = q->body.n == 0 ? 1 : 2,
			.body = q->body,
			.reply = reply,
		};

		target_fill_call(&to, &http);
		rc = http_client_call(client, &http, ei);
		*status = http.status;
		if (rc != OK)
			rc = ERR_WRAP(ei, rc,
				rc == ERR_INVALID ? "%s" : "%s (is the gateway running?)", to.text);
	}
	http_client_free(&client);
	credentials_wipe(&c);
	return rc;
}

static int
say_refusal(unsigned status, const struct json *tree)
{
	struct span reason = operator_find_text(tree, "reason");
	struct buf text;
	int rc;

	buf_init(&text, BUF_CAP_FILE);
	stream_add_visible(&text, reason);
	if (status == 401)
		rc = command_fail("%u: %s; check the key (--key-file, NOMOS_API_KEY, keys/operator "
				  "beside the configuration)",
			status, text.n > 0 ? text.p : "not authenticated");
	else if (status == 403)
		rc = command_fail("%u: %s; use the key of another principal, or give this one the "
				  "role in identity.roles",
			status, text.n > 0 ? text.p : "refused");
	else
		rc = command_fail(
			"%u: %s", status, text.n > 0 ? text.p : "no nomos gateway answers");
	buf_fini(&text);
	return rc;
}

void
operator_add_word(struct buf *out, struct span v)
{
	if (out->n > 0 && out->p[out->n - 1] != '\n')
		buf_add_char(out, ' ');
	if (v.n == 0)
		buf_add_char(out, '-');
	while (v.n > 0) {
		size_t n = 0;
		while (n < v.n && v.p[n] != '\n' && v.p[n] != '\t')
			n++;
		stream_add_visible(out, span_of(v.p, n));
		if (n < v.n)
			buf_printf(out, "\\u{%x}", (unsigned)v.p[n++]);
		v = span_from(v, n);
	}
}

static void
print_on_terminal(struct buf *out, struct span json)
{
	visible_add_json(out, span_trim(json));
	buf_add_char(out, '\n');
}

static int
print(const struct buf *reply, const struct json *tree, bool is_json, operator_print_fn as_text)
{
	struct buf out;
	int status;

	buf_init(&out, BUF_CAP_FILE);
	if (is_json || as_text == NULL) {
		struct buf pretty;

		buf_init(&pretty, BUF_CAP_FILE);
		json_pretty(tree, &pretty);
		buf_add_char(&pretty, '\n');
		/* JSON for programs stays as it is; a terminal must not obey it. */
		if (is_json && isatty(STDOUT_FILENO) == 0)
			buf_add_span(&out, buf_span(reply));
		else if (is_json)
			print_on_terminal(&out, buf_span(reply));
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

/* The tree of it lives in the arena; NULL when it is no JSON. */
static const struct json *
parse_reply(const struct buf *reply, struct arena *arena)
{
	const struct json *tree = NULL;

	return arena != NULL && json_parse(buf_span(reply), arena, &tree, NULL, NULL) == OK ? tree
											    : NULL;
}

int
operator_print_reply(const struct buf *reply, bool is_json, operator_print_fn as_text)
{
	struct arena *arena = arena_new(REPLY_ARENA_BYTES);
	const struct json *tree = parse_reply(reply, arena);
	int status =
		tree != NULL ? print(reply, tree, is_json, as_text) : command_fail("out of memory");

	arena_free(&arena);
	return status;
}

int
operator_fetch(const struct operator_flags *f, const struct operator_question *q, struct buf *reply)
{
	struct arena *arena = arena_new(REPLY_ARENA_BYTES);
	struct errinfo ei;
	unsigned http_status = 0;
	int status = EXIT_DONE;

	enum err rc = arena != NULL ? call(f, q, reply, &http_status, &ei)
				    : ERR(&ei, ERR_NOMEM, "out of memory");
	const struct json *tree = rc == OK ? parse_reply(reply, arena) : NULL;
	if (rc != OK)
		status = command_fail("%s", ei.msg);
	else if (http_status != 200 || tree == NULL || json_find_cstr(tree, q->answer_has) == NULL)
		status = say_refusal(http_status, tree);
	arena_free(&arena);
	return status;
}

int
operator_call(const struct operator_flags *f, const struct operator_question *q, bool is_json,
	operator_print_fn as_text)
{
	struct buf reply;

	buf_init(&reply, OPERATOR_REPLY_BYTES_MAX + 1);
	int status = operator_fetch(f, q, &reply);
	if (status == EXIT_DONE)
		status = operator_print_reply(&reply, is_json, as_text);
	buf_fini(&reply);
	return status;
}

bool
operator_parse_format(const char *format, bool *is_json)
{
	if (format == NULL)
		return true;
	*is_json = span_eq_cstr(span_cstr(format), "json");
	if (*is_json || span_eq_cstr(span_cstr(format), "text"))
		return true;
	(void)command_fail("--format is text or json");
	return false;
}
