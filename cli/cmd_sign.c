/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos sign: the header lines of a request with this body, for `curl -H @-`. The signature is
 * over the exact bytes; the body must be sent with --data-binary. It prints a credential, so its
 * output belongs in a pipe.
 */
#include <unistd.h>

#include "base/log.h"
#include "command.h"
#include "credentials.h"
#include "policy/action.h"
#include "stream.h"

static int
sign(const struct credentials_flags *where, const char *body_path)
{
	struct credentials c;
	struct http_header headers[CREDENTIALS_HEADERS];
	struct buf body;
	struct buf lines;
	struct errinfo ei;

	buf_init(&body, 2 * ACTION_BODY_BYTES_MAX);
	buf_init(&lines, BUF_CAP_RECORD);
	enum err rc = credentials_load(where, &c, &ei);
	if (rc == OK)
		rc = stream_read(body_path, ACTION_BODY_BYTES_MAX, &body, &ei);
	int status = EXIT_FAILED;
	if (rc != OK) {
		status = command_fail("%s", ei.msg);
	} else {
		credentials_sign(&c, buf_span(&body), headers);
		for (size_t i = 0; i < CREDENTIALS_HEADERS; i++)
			buf_printf(&lines, "%.*s: %.*s\n", SPAN_ARG(headers[i].name),
				SPAN_ARG(headers[i].value));
		if (isatty(STDOUT_FILENO))
			log_warn(NULL, "these lines hold an API key");
		status = stream_print_buf(&lines);
	}
	credentials_wipe(&c);
	buf_fini(&body);
	buf_fini(&lines);
	return status;
}

static int
run(const struct command *self, int argc, char **argv)
{
	struct credentials_flags where = {.config = NULL};
	const struct flag flags[] = {
		CREDENTIALS_FLAGS(where),
	};
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 1, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (rest == argc)
		return command_fail("name the file with the body, or - for stdin: %s", self->usage);
	return sign(&where, argv[rest]);
}

const struct command cmd_sign = {
	.name = "sign",
	.summary = "Print the headers that authenticate and sign a request body",
	.usage = "nomos sign [-c FILE] [--key-file FILE] [--agent ID] [--agent-secret-file FILE] "
		 "BODY|-",
	.examples = "  nomos sign -c demo/nomos.yaml demo/actions/allow.json |\n"
		    "    curl -sS -H @- --data-binary @demo/actions/allow.json "
		    "http://127.0.0.1:8080/action\n",
	.run = run,
};
