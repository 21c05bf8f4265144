/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos version: one line of build data (nomos-mcp-cli.md 1.3). */
#include <string.h>

#include "base/buf.h"
#include "base/version.h"
#include "command.h"
#include "stream.h"

#define LINE_BYTES_MAX 1024

static int
run(const struct command *self, int argc, char **argv)
{
	int rest = 0;
	enum flags_result f = flags_parse(self, NULL, 0, argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	const struct version *v = version_get();
	struct buf b;
	buf_init(&b, LINE_BYTES_MAX);
	buf_printf(&b, "version=%s", v->version);
	if (strcmp(v->commit, "unknown") != 0)
		buf_printf(&b, " commit=%.12s", v->commit);
	if (strcmp(v->build_date, "unknown") != 0)
		buf_printf(&b, " build_date=%s", v->build_date);
	if (v->modified)
		buf_printf(&b, " dirty=true");
	buf_printf(&b, " cc=%s\n", v->compiler);
	int status = stream_print_buf(&b);
	buf_fini(&b);
	return status;
}

const struct command cmd_version = {
	.name = "version",
	.summary = "Print what this build is",
	.usage = "nomos version",
	.run = run,
};
