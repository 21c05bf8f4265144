/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Unix sockets as files: whoever may write to the file may connect, so it never has more bits than wanted, not even for a moment. Must
 * never remove what is not a socket, nor one on which somebody listens.
 */
#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC */

#include "listener_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"

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

enum err
listener_probe_unix(const struct listener_addr *a, struct errinfo *ei)
{
	char folder[LISTENER_PATH_MAX];
	bool is_stale;
	enum err rc = look(a, &is_stale, ei);

	if (rc != OK)
		return rc;
	memcpy(folder, a->path, sizeof(folder));
	char *slash = strrchr(folder, '/');
	slash[slash == folder ? 1 : 0] = '\0';
	return access(folder, W_OK | X_OK) == 0 ? OK : listener_error(a, errno, ei);
}

/* Binds with no more than mode; the file's identity goes to *file as soon as it is there. An inode's number is used again once
 * the file is gone, so it only tells while we listen. */
static bool
bind_file(
	int fd, const struct listener_addr *a, mode_t mode, gid_t group, struct listener_file *file)
{
	struct sockaddr_un sa = make_sockaddr(a);
	struct stat st;

	/* The kernel makes the file with the bits of the socket, less the umask. */
	if (fchmod(fd, group == LISTENER_ANY_GROUP ? mode : mode & S_IRWXU) != 0 ||
		bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0 || lstat(a->path, &st) != 0)
		return false;
	*file = (struct listener_file){st.st_dev, st.st_ino, true};
	if (group != LISTENER_ANY_GROUP && lchown(a->path, (uid_t)-1, group) != 0)
		return false;
	return fchmodat(AT_FDCWD, a->path, mode, AT_SYMLINK_NOFOLLOW) == 0;
}

enum err
listener_open_unix(const struct listener_addr *a, mode_t mode, gid_t group,
	struct listener_file *file, int *out, struct errinfo *ei)
{
	bool is_stale;

	*out = -1;
	*file = (struct listener_file){.is_made = false};
	MUST(a->kind == LISTENER_UNIX);
	enum err rc = look(a, &is_stale, ei);
	if (rc != OK)
		return rc;
	if (is_stale && unlink(a->path) != 0 && errno != ENOENT)
		return listener_error(a, errno, ei);
	int fd = make_socket();
	if (fd < 0 || !bind_file(fd, a, mode, group, file) || listen(fd, LISTENER_BACKLOG) != 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		listener_remove_unix(a, file);
		return listener_error(a, error, ei);
	}
	*out = fd;
	return OK;
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
