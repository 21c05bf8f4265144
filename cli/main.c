/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The program: a table of commands. */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "command.h"
#include "runtime/doctor.h"

static const struct command *const rows[] = {
#define X(name) &cmd_##name,
#include "command_tbl.h"
#undef X
};

/*
 * Whoever started us may have closed the standard descriptors; the next files opened would get their numbers, and the log or
 * the stdout sink would write into them. Opened for reading only, so that such a write still fails.
 */
static bool
hold_standard_descriptors(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

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
	if (!hold_standard_descriptors())
		return EXIT_FAILED;
	log_set_format(LOG_TEXT);
	if (hash_init(&ei) != OK)
		return command_fail("%s", ei.msg);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		commands[i] = *rows[i];
	int status = command_dispatch("nomos", commands, ARRAY_LEN(rows), argc - 1, argv + 1);
	if (!doctor_has_left())
		return status;
	(void)fflush(NULL);
	_exit(status);
}
