/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's lock file. The kernel drops an flock with the process, so a crash never leaves a stale one; the pid is for
 * people only and is never trusted. Runs at open and close.
 */
#define _GNU_SOURCE /* flock, O_NOFOLLOW */

#include "lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/file.h>

#include "base/fault.h"
#include "base/fdio.h"
#include "base/parse.h"

/* Behind the pid while records may lie in the write-ahead log alone. */
#define LOG_MARK "log\n"

static enum err
name_owner(int fd, const char *path, struct errinfo *ei)
{
	char text[32];
	uint64_t pid = 0;
	ssize_t n = pread(fd, text, sizeof(text), 0);

	struct span first = span_of(text, n > 0 ? (size_t)n : 0);

	first.n = span_find(first, '\n');
	if (parse_uint(span_trim(first), INT32_MAX, &pid))
		return ERR(ei, ERR_BUSY,
			"%s is held by process %d; stop it, or give this one a ledger of its own",
			path, (int)pid);
	return ERR(ei, ERR_BUSY, "%s is held by another process", path);
}

static bool
write_owner(int fd, bool has_log)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%d\n%s", (int)getpid(), has_log ? LOG_MARK : "");

	return pwrite(fd, text, (size_t)n, 0) == n && ftruncate(fd, n) == 0;
}

bool
lock_has_log(int fd)
{
	char text[32];
	ssize_t n = pread(fd, text, sizeof(text), 0);
	struct span s = span_of(text, n > 0 ? (size_t)n : 0);
	struct span tail = span_from(s, span_find(s, '\n'));

	return span_eq_cstr(tail, "\n" LOG_MARK);
}

bool
lock_mark_log(int fd, bool has_log)
{
	return write_owner(fd, has_log) && fdatasync(fd) == 0;
}

/* Readers hold the lock for an instant to learn whether anybody writes; that must keep nobody from starting. */
static bool
try_lock(int fd)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

	for (unsigned i = 0; i < 50; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return true;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	errno = EWOULDBLOCK;
	return false;
}

enum err
lock_take(const char *path, int *fd, struct errinfo *ei)
{
	enum err rc = OK;

	*fd = -1;
	int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		return ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	if (!try_lock(lock))
		rc = errno == EWOULDBLOCK ? name_owner(lock, path, ei)
					  : ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	/* What the last owner left unsaid stays so until the log has been looked for. */
	if (rc == OK && (FAULT_BEFORE(LEDGER_LOCK) || !write_owner(lock, lock_has_log(lock)) ||
				FAULT_AFTER(LEDGER_LOCK)))
		rc = ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	if (rc != OK) {
		(void)close(lock); /* nothing was written that could be lost */
		return rc;
	}
	*fd = lock;
	return OK;
}

enum err
lock_hold(const char *path, int *fd, struct errinfo *ei)
{
	enum err rc = OK;

	*fd = -1;
	int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	if (!try_lock(file)) {
		rc = errno == EWOULDBLOCK
			     ? ERR(ei, ERR_BUSY, "%s is being written by another process", path)
			     : ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
		(void)close(file); /* before SQLite has locks on it */
		return rc;
	}
	*fd = file;
	return OK;
}

void
lock_drop(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* closing drops the lock whatever it returns */
	*fd = -1;
}
