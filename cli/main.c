/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The program: a table of commands. */
#include <signal.h>

#include "base/hash.h"
#include "base/log.h"
#include "command.h"

static const struct command *const rows[] = {
#define X(name) &cmd_##name,
#include "command_tbl.h"
#undef X
};

int
main(int argc, char **argv)
{
	struct command commands[ARRAY_LEN(rows)];
	struct errinfo ei;
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	/* A reader that went away is an error of write(2), not the end of the process. */
	sigaction(SIGPIPE, &ignore, NULL);
	/* A limit on file sizes is an error of write(2) too, which the ledger recovers from. */
	sigaction(SIGXFSZ, &ignore, NULL);
	log_set_format(LOG_TEXT);
	if (hash_init(&ei) != OK)
		return command_fail("%s", ei.msg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		commands[i] = *rows[i];
	return command_dispatch("nomos", commands, ARRAY_LEN(rows), argc - 1, argv + 1);
}
