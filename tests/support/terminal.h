/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A terminal that nobody reads. Includers define _XOPEN_SOURCE 700 or more before anything else. */
#ifndef TESTS_TERMINAL_H
#define TESTS_TERMINAL_H

#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "base/attr.h"
#include "support/test.h"

/* *ours reads what is written to *theirs; both to be closed. */
UNUSED static void
open_terminal(int *ours, int *theirs)
{
	*ours = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(*ours >= 0 && grantpt(*ours) == 0 && unlockpt(*ours) == 0);
	*theirs = open(ptsname(*ours), O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(*theirs >= 0);
}

/* A byte goes out as it came in. */
UNUSED static void
make_raw(int terminal)
{
	struct termios t;

	CHECK(tcgetattr(terminal, &t) == 0);
	t.c_oflag &= ~(tcflag_t)OPOST;
	CHECK(tcsetattr(terminal, TCSANOW, &t) == 0);
}

#endif
