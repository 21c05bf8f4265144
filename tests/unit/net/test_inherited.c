/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Sockets of a service manager: which are for this process, and what each is. They are descriptors from 3 on. */
#include "net/inherited.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/test.h"

static struct inherited_sockets sockets;

static void
set_environment(const char *pid, const char *n, const char *names)
{
	char own[16];

	snprintf(own, sizeof(own), "%ld", (long)getpid());
	setenv("LISTEN_PID", pid != NULL ? pid : own, 1);
	setenv("LISTEN_FDS", n, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
	else
		unsetenv("LISTEN_FDNAMES");
}

/* Puts fd at number to. */
static void
place(int fd, int to)
{
	if (fd == to)
		return;
	CHECK(dup2(fd, to) == to);
	close(fd);
}

static int
listen_anywhere(void)
{
	struct listener_addr a;
	int fd = -1;

	CHECK_INT(listener_parse(SPAN_LIT("127.0.0.1:0"), &a, NULL), OK);
	CHECK_INT(listener_probe(&a, NULL), OK);
	CHECK_INT(listener_open(&a, &fd, NULL), OK);
	CHECK(fcntl(fd, F_SETFL, 0) == 0);
	return fd;
}

TEST(for_somebody_else)
{
	static const char *const pids[] = {"1", "", "x", "-1"};

	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		set_environment(pids[i], "1", "api");
		CHECK_INT(inherited_sockets_read(&sockets, NULL), OK);
		CHECK_INT(sockets.n, 0);
	}
	set_environment(NULL, "x", NULL);
	CHECK_INT(inherited_sockets_read(&sockets, NULL), OK);
	CHECK_INT(sockets.n, 0);
	unsetenv("LISTEN_PID");
	CHECK_INT(inherited_sockets_read(&sockets, NULL), OK);
	CHECK_INT(sockets.n, 0);
	set_environment(NULL, "17", NULL);
	CHECK_INT(inherited_sockets_read(&sockets, NULL), ERR_TOO_LARGE);
	/* Not open. */
	set_environment(NULL, "1", NULL);
	close(3);
	CHECK_INT(inherited_sockets_read(&sockets, NULL), ERR_INVALID);
}

TEST(names)
{
	struct listener_addr a;
	int fd = -1;

	place(listen_anywhere(), 3);
	place(listen_anywhere(), 4);
	set_environment(NULL, "2", "api:ui");
	CHECK_INT(inherited_sockets_read(&sockets, NULL), OK);
	CHECK_INT(sockets.n, 2);
	CHECK((fcntl(3, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(4, F_GETFL) & O_NONBLOCK) != 0);
	CHECK_INT(inherited_sockets_take(&sockets, "metrics", &a, &fd, NULL), ERR_NOT_FOUND);
	CHECK_INT(inherited_sockets_take(&sockets, "", &a, &fd, NULL), ERR_NOT_FOUND);
	CHECK_INT(fd, -1);
	CHECK_INT(inherited_sockets_take(&sockets, "ui", &a, &fd, NULL), OK);
	CHECK(fd == 4 && a.kind == LISTENER_TCP && a.is_ipv4 && a.port != 0 && !a.is_any);
	CHECK(listener_is_loopback(&a));
	CHECK_INT(inherited_sockets_take(&sockets, "ui", &a, &fd, NULL), ERR_NOT_FOUND);
	CHECK_STR(inherited_sockets_find_left(&sockets), "api");
	CHECK_INT(inherited_sockets_take(&sockets, "api", &a, &fd, NULL), OK);
	CHECK(inherited_sockets_find_left(&sockets) == NULL);
	close(3);
	close(4);
}

TEST(the_only_one_needs_no_name)
{
	struct listener_addr a;
	int fd = -1;

	place(listen_anywhere(), 3);
	set_environment(NULL, "1", NULL);
	CHECK_INT(inherited_sockets_read(&sockets, NULL), OK);
	CHECK_INT(inherited_sockets_take(&sockets, "", &a, &fd, NULL), OK);
	CHECK_INT(fd, 3);
	close(3);
}

/* A datagram socket, one that does not listen, a file. */
TEST(no_listening_sockets)
{
	for (int i = 0; i < 3; i++) {
		struct listener_addr a;
		int got = -1;
		int fd = i == 2 ? open("/dev/null", O_RDONLY)
				: socket(AF_INET, i == 0 ? SOCK_DGRAM : SOCK_STREAM, 0);
		place(fd, 3);
		set_environment(NULL, "1", "api");
		CHECK_INT(inherited_sockets_read(&sockets, NULL), OK);
		CHECK_INT(inherited_sockets_take(&sockets, "api", &a, &got, NULL), ERR_INVALID);
		CHECK_INT(got, -1);
		close(3);
	}
}

SUITE("inherited", TEST_ROW(for_somebody_else), TEST_ROW(names),
	TEST_ROW(the_only_one_needs_no_name), TEST_ROW(no_listening_sockets))
