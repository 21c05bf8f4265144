/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See terminal.h. A timer of this thread sends it a signal for as long as the write goes on: one alone could come just before the
 * write and be lost. The signal is one that nobody else misses and that does nothing where it is not expected.
 */
#define _GNU_SOURCE /* SIGEV_THREAD_ID, gettid */

#include "base/terminal.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/must.h"

/* As later C libraries name it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
end_write(int signo)
{
	(void)signo;
}

/* Without SA_RESTART: the write has to come back. */
static void
install(void)
{
	struct sigaction action = {.sa_handler = end_write};

	sigemptyset(&action.sa_mask);
	MUST(sigaction(SIGURG, &action, NULL) == 0);
}

static bool
start_timer(timer_t *timer)
{
	const struct timespec slice = {.tv_nsec = TERMINAL_WRITE_MS * NS_PER_MS};
	const struct itimerspec times = {.it_interval = slice, .it_value = slice};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGURG};

	event.sigev_notify_thread_id = gettid();
	if (timer_create(CLOCK_MONOTONIC, &event, timer) != 0)
		return false;
	MUST(timer_settime(*timer, 0, &times, NULL) == 0);
	return true;
}

/* What cannot be ended is not begun. */
static ssize_t
write_bounded(int fd, struct span text)
{
	timer_t timer;

	if (!start_timer(&timer)) {
		errno = EIO;
		return -1;
	}
	ssize_t n = write(fd, text.p, text.n);
	int errnum = errno;
	MUST(timer_delete(timer) == 0);
	errno = errnum;
	return n;
}

ssize_t
terminal_write(int fd, struct span text)
{
	sigset_t urgent;
	sigset_t before;

	if (isatty(fd) == 0)
		return write(fd, text.p, text.n);
	MUST(pthread_once(&once, install) == 0);
	sigemptyset(&urgent);
	sigaddset(&urgent, SIGURG);
	MUST(pthread_sigmask(SIG_UNBLOCK, &urgent, &before) == 0);
	ssize_t n = write_bounded(fd, text);
	int errnum = errno;
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	errno = errnum;
	return n;
}
