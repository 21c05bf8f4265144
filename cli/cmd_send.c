/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos send: signs an action, posts it to the gateway and says what the answer means (decisions
 * 45). The answer goes to stdout as it came, or indented on a terminal; the meaning and the next
 * step go to stderr. One thread.
 */
#include <stdio.h>
#include <unistd.h>

#include "approval_member.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "command.h"
#include "credentials.h"
#include "net/http_client.h"
#include "options.h"
#include "policy/action.h"
#include "stream.h"
#include "target.h"

#define REPLY_BYTES_MAX (8 * 1024 * 1024)
#define REPLY_ARENA_BYTES (128 * 1024 * 1024)
#define TIMEOUT_NS (300 * NS_PER_SEC)
#define WAIT_DIGITS_MAX 3
#define PREFER_BYTES (sizeof("wait=") + WAIT_DIGITS_MAX)

struct send {
	struct credentials_flags where;
	struct target_flags to;
	const char *action;
	const char *approval; /* its ID, or NULL */
	const char *wait;     /* seconds, or NULL */
	bool is_explain;
	bool has_exit_code;
};

/* What the request line will have of the URL: a gateway behind a proxy that changes it sees another. */
static struct span
find_target(struct span url)
{
	struct span rest = span_from(url, span_find(url, ':'));
	size_t slash;

	rest = span_from(rest, rest.n < 3 ? rest.n : 3);
	slash = span_find(rest, '/');
	return slash < rest.n ? span_from(rest, slash) : SPAN_LIT("/");
}

static enum err
post(struct credentials *c, const struct send *s, struct http_call *call, struct errinfo *ei)
{
	struct http_header headers[CREDENTIALS_HEADERS + 1];
	char prefer[PREFER_BYTES];
	const struct credentials_request request = {
		.method = "POST", .target = find_target(call->url), .body = call->body};
	struct http_client_options options;
	struct http_client *client = NULL;

	http_client_options_init(&options);
	options.total_timeout_ns = TIMEOUT_NS;
	options.max_reply_bytes = REPLY_BYTES_MAX;
	target_fill_options(&s->to, &options);
	enum err rc = http_client_new(&options, &client, ei);
	if (rc != OK)
		return rc;
	rc = credentials_sign(c, &request, headers, &call->n_headers, ei);
	call->headers = headers;
	if (rc == OK && s->wait != NULL && !s->is_explain) {
		int n = snprintf(prefer, sizeof(prefer), "wait=%s", s->wait);
		headers[call->n_headers++] =
			(struct http_header){SPAN_LIT("Prefer"), span_of(prefer, (size_t)n)};
	}
	if (rc == OK)
		rc = http_client_call(client, call, ei);
	http_client_free(&client);
	return rc;
}

/* Indented and harmless on a terminal, as it came elsewhere; the last line ends in both. */
static int
print_reply(const struct buf *reply, const struct json *tree)
{
	struct buf pretty;
	struct buf text;

	buf_init(&pretty, BUF_CAP_FILE);
	buf_init(&text, BUF_CAP_FILE);
	if (!isatty(STDOUT_FILENO)) {
		buf_add_span(&text, buf_span(reply));
	} else {
		if (tree != NULL)
			json_pretty(tree, &pretty);
		stream_add_visible(&text, tree != NULL ? buf_span(&pretty) : buf_span(reply));
	}
	if (text.n > 0 && text.p[text.n - 1] != '\n')
		buf_add_char(&text, '\n');
	int status = buf_failed(&pretty) ? command_fail("out of memory") : stream_print_buf(&text);
	buf_fini(&pretty);
	buf_fini(&text);
	return status;
}

static struct span
find_text(const struct json *tree, const char *name)
{
	const struct json *v = json_find_cstr(tree, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

/* What to do about an answer without a decision. */
static const char *
advise(unsigned status)
{
	switch (status) {
	case 400:
		return "the action has to change; the answer says what is wrong with it";
	case 401:
		return "check the key (--key-file, NOMOS_API_KEY, keys/agent beside the "
		       "configuration), the agent and its "
		       "secret, identity.principal_agents, and the clock of this machine";
	case 404:
	case 405:
		return "is this the address of a nomos gateway?";
	case 413:
		return "a request is at most 64 KiB";
	case 429:
		return "wait, or raise gateway.rate_limit_per_minute or gateway.concurrency_limit";
	case 503:
		return "the gateway cannot record now; GET /readyz says what is wrong";
	default:
		return "the gateway's log says more";
	}
}

/* Fit for a command line as it stands. */
static bool
approval_id_is_plain(struct span id)
{
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];
		if (c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z'))
			return false;
	}
	return id.n > 0;
}

/* Why the approval that was named did not count; NULL when none was, or it still waits. */
static const char *
explain_status(struct span status)
{
	static const char *const texts[][2] = {
		{"consumed", "the approval was used before"},
		{"expired", "the approval has run out"},
		{"denied", "the approval was denied"},
		{"mismatch", "the approval is for another action"},
		{"policy_changed", "the approval was given under another policy"},
		{"not_found", "there is no such approval"},
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (span_eq_cstr(status, texts[i][0]))
			return texts[i][1];
	return NULL;
}

/* A person has to decide; how one does, and what the agent sends then. */
static void
say_waiting(const struct send *s, const struct json *tree, struct span reason)
{
	struct span id = find_text(tree, "approval_id");
	const char *config = s->where.config != NULL ? s->where.config : "FILE";
	const char *past = explain_status(find_text(tree, "approval_status"));

	log_warn(NULL,
		"REQUIRE_APPROVAL (%.*s)%s%s: a person decides, on /ui/ or with `nomos approvals "
		"approve -c %s %.*s`; "
		"then `nomos send -c %s --approval %.*s %s`",
		SPAN_ARG(reason), past != NULL ? ", " : "", past != NULL ? past : "", config,
		SPAN_ARG(id), config, SPAN_ARG(id), s->action);
}

static int
say_decision(const struct send *s, const struct json *tree, struct span decision)
{
	struct span reason = find_text(tree, "reason");
	const char *config = s->where.config != NULL ? s->where.config : "FILE";

	if (reason.n == 0)
		reason = find_text(tree, "reason_code");
	if (span_eq_cstr(decision, "ALLOW")) {
		if (find_text(tree, "execution_mode").n > 0)
			log_ok("ALLOW (%.*s): recorded; carry it out now", SPAN_ARG(reason));
		else
			log_ok("ALLOW (%.*s)", SPAN_ARG(reason));
		return EXIT_DONE;
	}
	if (s->is_explain)
		log_warn(NULL, "%.*s (%.*s): the answer says which rules and why",
			SPAN_ARG(decision), SPAN_ARG(reason));
	else if (approval_id_is_plain(find_text(tree, "approval_id")))
		say_waiting(s, tree, reason);
	else
		log_warn(NULL, "%.*s (%.*s): `nomos send -c %s --explain %s` says why",
			SPAN_ARG(decision), SPAN_ARG(reason), config, s->action);
	return s->has_exit_code ? EXIT_FAILED : EXIT_DONE;
}

static int
say_answer(const struct send *s, unsigned http_status, const struct buf *reply)
{
	struct arena *a = arena_new(REPLY_ARENA_BYTES);
	const struct json *tree = NULL;
	struct errinfo ei;

	if (a == NULL)
		return command_fail("out of memory");
	if (json_parse(buf_span(reply), a, &tree, NULL, &ei) != OK)
		tree = NULL;
	int status = print_reply(reply, tree);
	struct span decision = find_text(tree, "decision");
	if (status != EXIT_DONE)
		log_error(NULL, "the answer was not printed whole");
	else if (http_status != 200)
		status = command_fail("%u: %s", http_status, advise(http_status));
	else if (decision.n == 0)
		status = command_fail(
			"the answer holds no decision; is this the address of a nomos gateway?");
	else
		status = say_decision(s, tree, decision);
	arena_free(&a);
	return status;
}

static int
fail_post(const struct send *s, const char *url, const struct errinfo *ei)
{
	if (s->to.url == NULL && s->where.config != NULL)
		return command_fail("%s: %s; is the gateway running? `nomos serve -c %s`", url,
			ei->msg, s->where.config);
	if (ei->code == ERR_INVALID) /* not an address */
		return command_fail("%s: %s", url, ei->msg);
	return command_fail("%s: %s; is the gateway running?", url, ei->msg);
}

static enum err
read_action(const struct send *s, struct buf *body, struct errinfo *ei)
{
	struct arena *a;
	struct buf text;

	if (s->approval == NULL)
		return stream_read(s->action, ACTION_BODY_BYTES_MAX, body, ei);
	a = arena_new(REPLY_ARENA_BYTES);
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	buf_init(&text, 2 * ACTION_BODY_BYTES_MAX);
	enum err rc = stream_read(s->action, ACTION_BODY_BYTES_MAX, &text, ei);
	if (rc == OK)
		rc = approval_member_add(buf_span(&text), span_cstr(s->approval), a, body, ei);
	buf_fini(&text);
	arena_free(&a);
	return rc;
}

static int
send_action(const struct send *s)
{
	struct target to;
	struct credentials c;
	struct buf body;
	struct buf reply;
	struct errinfo ei;
	int status = EXIT_FAILED;

	buf_init(&body, 2 * ACTION_BODY_BYTES_MAX);
	buf_init(&reply, REPLY_BYTES_MAX + 1);
	enum err rc = credentials_load(&s->where, &c, &ei);
	if (rc == OK)
		rc = target_find(&s->to, credentials_view_gateway(&c),
			s->is_explain ? "/explain" : "/action", &to, &ei);
	if (rc == OK)
		rc = read_action(s, &body, &ei);
	if (rc != OK) {
		status = command_fail("%s", ei.msg);
	} else {
		struct http_call call = {.body = buf_span(&body), .reply = &reply};
		target_fill_call(&to, &call);
		rc = post(&c, s, &call, &ei);
		status = rc == OK ? say_answer(s, call.status, &reply) : fail_post(s, to.text, &ei);
	}
	credentials_wipe(&c);
	buf_fini(&body);
	buf_fini(&reply);
	return status;
}

static bool
is_wait(const char *text)
{
	struct span s = span_cstr(text);

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0 && s.n <= WAIT_DIGITS_MAX && s.p[0] != '0';
}

static int
run(const struct command *self, int argc, char **argv)
{
	struct send s = {.action = NULL};
	const struct flag flags[] = {
		CREDENTIALS_FLAGS(s.where),
		TARGET_FLAGS(s.to),
		{"explain", "e", FLAG_SWITCH, &s.is_explain, NULL, NULL,
			"ask why instead: nothing is done or recorded as done"},
		{"approval", NULL, FLAG_TEXT, &s.approval, "ID", NULL,
			"name the approval of an earlier answer"},
		{"wait", "w", FLAG_TEXT, &s.wait, "SECONDS", NULL,
			"wait so long for a person, when one has to decide"},
		{"exit-code", NULL, FLAG_SWITCH, &s.has_exit_code, NULL, NULL,
			"exit 1 for any decision but ALLOW"},
	};
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 1, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (rest == argc) {
		(void)command_fail(
			"name the file with the action, or - for stdin: %s", self->usage);
		return EXIT_USAGE;
	}
	s.action = argv[rest];
	if (s.wait != NULL && !is_wait(s.wait))
		return command_fail("--wait %s is not a number of seconds from 1 to 999", s.wait);
	return send_action(&s);
}

const struct command cmd_send = {
	.name = "send",
	.summary = "Sign an action, send it to the gateway, say what the answer means",
	.usage = "nomos send [-c FILE] [--url URL] [--explain] [--approval ID] [--wait SECONDS] "
		 "[--exit-code] "
		 "ACTION.json|-",
	.examples = "  nomos send -c demo/nomos.yaml demo/actions/allow.json\n"
		    "  nomos send -c demo/nomos.yaml --explain demo/actions/deny.json\n"
		    "  nomos send -c demo/nomos.yaml --wait 60 demo/actions/transfer.json\n",
	.run = run,
};
