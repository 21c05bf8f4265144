/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets as files: whoever may write to the file may connect, so it never has more bits than wanted, not even for a moment. Must
 * never remove what is not a socket, nor one on which somebody listens.
 */
#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC */

#include "listener_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/must.h"

/* What is done under the lock takes a moment. */
#define LOCK_TRIES 100
#define LOCK_PAUSE_MS 20

static struct sockaddr_un
make_sockaddr(const struct listener_addr *a)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	_Static_assert(sizeof(sa.sun_path) == LISTENER_PATH_MAX, "the kernel has it so");
	memcpy(sa.sun_path, a->path, sizeof(sa.sun_path));
	return sa;
}

static int
make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Asks whether somebody listens on the socket that is there: errno of connecting, 0 when it is accepted. */
static int
ask(const struct listener_addr *a)
{
	struct sockaddr_un sa = make_sockaddr(a);
	int fd = make_socket();

	if (fd < 0)
		return errno;
	int error = connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 ? 0 : errno;
	close(fd);
	return error;
}

/* *is_stale: a socket is there and nobody listens on it. */
static enum err
look(const struct listener_addr *a, bool *is_stale, struct errinfo *ei)
{
	struct stat st;

	*is_stale = false;
	if (lstat(a->path, &st) != 0)
		return errno == ENOENT ? OK : listener_error(a, errno, ei);
	if (!S_ISSOCK(st.st_mode))
		return ERR(ei, ERR_CONFLICT, "%s is there and is no socket", a->path);
	int error = ask(a);
	if (error == ECONNREFUSED) {
		*is_stale = true;
		return OK;
	}
	/* A full queue is one of somebody who listens. */
	return listener_error(a, error == 0 || error == EAGAIN ? EADDRINUSE : error, ei);
}

static void
find_folder(const struct listener_addr *a, char out[LISTENER_PATH_MAX])
{
	memcpy(out, a->path, LISTENER_PATH_MAX);
	char *slash = strrchr(out, '/');
	slash[slash == out ? 1 : 0] = '\0';
}

enum err
listener_probe_unix(const struct listener_addr *a, struct errinfo *ei)
{
	char folder[LISTENER_PATH_MAX];
	bool is_stale;
	enum err rc = look(a, &is_stale, ei);

	if (rc != OK)
		return rc;
	find_folder(a, folder);
	return access(folder, W_OK | X_OK) == 0 ? OK : listener_error(a, errno, ei);
}

/* Binds with no more than the bits; the file's identity goes to *file as soon as it is there. An inode's number is used again once
 * the file is gone, so it only tells while we listen. */
static bool
bind_file(int fd, const struct listener_addr *a, const struct listener_access *access,
	struct listener_file *file)
{
	struct sockaddr_un sa = make_sockaddr(a);
	struct stat st;
	bool is_ours = access->owner == LISTENER_ANY_USER && access->group == LISTENER_ANY_GROUP;

	/* The kernel makes the file with the bits of the socket, less the umask. */
	if (fchmod(fd, is_ours ? access->mode : access->mode & S_IRWXU) != 0 ||
		bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0 || lstat(a->path, &st) != 0)
		return false;
	*file = (struct listener_file){st.st_dev, st.st_ino, true};
	if (!is_ours && lchown(a->path, access->owner, access->group) != 0)
		return false;
	return fchmodat(AT_FDCWD, a->path, access->mode, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Looking, removing and binding are one: of two that find the same file left behind, the later one would remove the other's. The
 * folder itself is locked, so nothing is left behind. Whoever can read the folder can hold its lock, and it may be one that we cannot
 * read: without the lock we go on, since two starts at once are rare, and one that must not start because of a stranger is worse.
 * Returns what is to be closed, or -1. */
static int
lock_folder(const struct listener_addr *a)
{
	char folder[LISTENER_PATH_MAX];
	bool is_locked = false;

	find_folder(a, folder);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < LOCK_TRIES && !is_locked && fd >= 0; i++) {
		is_locked = flock(fd, LOCK_EX | LOCK_NB) == 0;
		if (!is_locked)
			(void)poll(NULL, 0, LOCK_PAUSE_MS);
	}
	if (fd >= 0 && !is_locked)
		log_warn(NULL,
			"%s: another process holds the lock of its folder; opened without it",
			a->path);
	return fd;
}

static enum err
open_locked(const struct listener_addr *a, const struct listener_access *access,
	struct listener_file *file, int *out, struct errinfo *ei)
{
	bool is_stale;
	enum err rc = look(a, &is_stale, ei);

	if (rc != OK)
		return rc;
	if (is_stale && unlink(a->path) != 0 && errno != ENOENT)
		return listener_error(a, errno, ei);
	int fd = make_socket();
	if (fd < 0 || !bind_file(fd, a, access, file) || listen(fd, LISTENER_BACKLOG) != 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		listener_remove_unix(a, file);
		return listener_error(a, error, ei);
	}
	*out = fd;
	return OK;
}

enum err
listener_open_unix(const struct listener_addr *a, const struct listener_access *access,
	struct listener_file *file, int *out, struct errinfo *ei)
{
	*out = -1;
	*file = (struct listener_file){.is_made = false};
	MUST(a->kind == LISTENER_UNIX);
	int lock = lock_folder(a);
	enum err rc = open_locked(a, access, file, out, ei);
	if (lock >= 0)
		close(lock);
	return rc;
}

void
listener_remove_unix(const struct listener_addr *a, struct listener_file *file)
{
	struct stat st;

	if (file->is_made && lstat(a->path, &st) == 0 && st.st_dev == file->device &&
		st.st_ino == file->inode)
		(void)unlink(a->path);
	file->is_made = false;
}
