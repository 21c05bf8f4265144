/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos version: one line of build data (nomos-mcp-cli.md 1.3). */
#include <stdio.h>
#include <string.h>

#include "base/version.h"
#include "command.h"

static int
run(const struct command *self, int argc, char **argv)
{
	int rest = 0;
	enum flags_result f = flags_parse(self, NULL, 0, argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	const struct version *v = version_get();
	printf("version=%s", v->version);
	if (strcmp(v->commit, "unknown") != 0)
		printf(" commit=%.12s", v->commit);
	if (strcmp(v->build_date, "unknown") != 0)
		printf(" build_date=%s", v->build_date);
	if (v->modified)
		printf(" dirty=true");
	printf(" cc=%s\n", v->compiler);
	return EXIT_DONE;
}

const struct command cmd_version = {
	.name = "version",
	.summary = "Print what this build is",
	.usage = "nomos version",
	.run = run,
};
