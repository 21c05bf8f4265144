/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos sign: the header lines of a request with this body, for `curl -H @-`. The signature is over method, path and exact
 * bytes, for one use; the body must be sent with --data-binary. It prints a credential, so its output belongs in a pipe.
 */
#include <unistd.h>

#include "base/log.h"
#include "command.h"
#include "credentials.h"
#include "policy/action.h"
#include "stream.h"

struct request_flags {
	const char *method;
	const char *path;
	const char *idempotency_key;
};

static enum err
check_request(const struct request_flags *f, struct errinfo *ei)
{
	if (http_method_parse(span_cstr(f->method)) == HTTP_METHOD_UNKNOWN)
		return ERR(ei, ERR_INVALID, "--method %s is none", f->method);
	if (f->path[0] != '/' || !http_is_header_value(span_cstr(f->path)))
		return ERR(ei, ERR_INVALID, "--path %s: it begins with a slash", f->path);
	if (f->idempotency_key != NULL && !http_is_header_value(span_cstr(f->idempotency_key)))
		return ERR(ei, ERR_INVALID, "--idempotency-key is not one line of text");
	return OK;
}

static int
print(struct credentials *c, const struct request_flags *f, struct span body)
{
	const struct credentials_request request = {
		.method = f->method,
		.target = span_cstr(f->path),
		.idempotency_key = span_cstr(f->idempotency_key),
		.body = body,
	};
	struct http_header headers[CREDENTIALS_HEADERS];
	struct buf lines;
	struct errinfo ei;
	size_t n;

	if (credentials_sign(c, &request, headers, &n, &ei) != OK)
		return command_fail("%s", ei.msg);
	buf_init(&lines, BUF_CAP_RECORD);
	for (size_t i = 0; i < n; i++)
		buf_printf(&lines, "%.*s: %.*s\n", SPAN_ARG(headers[i].name),
			SPAN_ARG(headers[i].value));
	if (isatty(STDOUT_FILENO))
		log_warn(NULL, "these lines hold an API key");
	int status = stream_print_buf(&lines);
	buf_fini(&lines);
	return status;
}

static int
sign(const struct credentials_flags *where, const struct request_flags *f, const char *body_path)
{
	struct credentials c;
	struct buf body;
	struct errinfo ei;

	buf_init(&body, 2 * ACTION_BODY_BYTES_MAX);
	enum err rc = credentials_load(where, &c, &ei);
	if (rc == OK)
		rc = check_request(f, &ei);
	if (rc == OK)
		rc = stream_read(body_path, ACTION_BODY_BYTES_MAX, &body, &ei);
	int status = rc == OK ? print(&c, f, buf_span(&body)) : command_fail("%s", ei.msg);
	credentials_wipe(&c);
	buf_fini(&body);
	return status;
}

static int
run(const struct command *self, int argc, char **argv)
{
	struct credentials_flags where = {.config = NULL};
	struct request_flags request = {.method = "POST", .path = "/action"};
	const struct flag flags[] = {
		CREDENTIALS_FLAGS(where),
		{"method", NULL, FLAG_TEXT, &request.method, "METHOD", NULL, "default: POST"},
		{"path", NULL, FLAG_TEXT, &request.path, "PATH", NULL,
			"path with query, as it is sent; default: /action"},
		{"idempotency-key", NULL, FLAG_TEXT, &request.idempotency_key, "KEY", NULL,
			"sign and print an Idempotency-Key"},
	};
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 1, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (rest == argc) {
		(void)command_fail("name the file with the body, or - for stdin: %s", self->usage);
		return EXIT_USAGE;
	}
	return sign(&where, &request, argv[rest]);
}

const struct command cmd_sign = {
	.name = "sign",
	.summary = "Print the headers that authenticate and sign a request body",
	.usage = "nomos sign [-c FILE] [--key-file FILE] [--agent ID] [--agent-secret-file FILE] "
		 "[--path PATH] [--idempotency-key KEY] BODY|-",
	.examples = "  nomos sign -c demo/nomos.yaml demo/actions/allow.json |\n"
		    "    curl -sS -H @- --data-binary @demo/actions/allow.json "
		    "http://127.0.0.1:8080/action\n"
		    "  nomos sign -c demo/nomos.yaml --path /explain demo/actions/deny.json |\n"
		    "    curl -sS -H @- --data-binary @demo/actions/deny.json "
		    "http://127.0.0.1:8080/explain\n",
	.run = run,
};
