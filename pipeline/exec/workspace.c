/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens names beneath the workspace. It never joins a host path and never follows a symbolic link; the only way from a name
 * to a file is openat2 from the folder that was opened with the snapshot. Pool threads.
 */
#define _GNU_SOURCE /* O_PATH and syscall(2): openat2 has no wrapper in this libc */
#include "exec/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"

enum {
	RACE_RETRIES = 16, /* openat2 says EAGAIN when a rename passed by */
	FOLDERS_MAX = 256, /* parts of a path that is made */
	FOLDER_MODE = 0755,
};

static int
open_beneath(int dir, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	for (int i = 0; i < RACE_RETRIES; i++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return -1;
	}
	return -1;
}

enum err
workspace_open(struct span path, struct workspace *out, struct errinfo *ei)
{
	struct span where = path.n > 0 ? path : SPAN_LIT(".");
	char name[4096];
	int probe;

	out->root_fd = -1;
	if (where.n >= sizeof(name))
		return ERR(ei, ERR_INVALID, "executor.workspace_root is too long");
	memcpy(name, where.p, where.n);
	name[where.n] = '\0';
	out->root_fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (out->root_fd < 0)
		return ERR_ERRNO(ei, errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID, errno,
			"executor.workspace_root %s", name);
	probe = open_beneath(out->root_fd, ".", O_PATH | O_DIRECTORY);
	if (probe < 0) {
		enum err rc = ERR_ERRNO(ei, errno == ENOSYS ? ERR_UNSUPPORTED : ERR_IO, errno,
			"executor.workspace_root %s: openat2", name);

		workspace_close(out);
		return rc;
	}
	close(probe);
	return OK;
}

int
workspace_close_fd(int fd)
{
	return close(fd);
}

void
workspace_close(struct workspace *w)
{
	if (w->root_fd >= 0)
		close(w->root_fd);
	w->root_fd = -1;
}

/* The path without its "/", NUL-terminated; NULL when nothing is left or the arena is full. */
static char *
relative_path(struct span path, struct arena *a)
{
	if (path.n < 2 || path.p[0] != '/')
		return NULL;
	return arena_dup_cstr(a, span_from(path, 1));
}

/* What a missing name means: when the workspace itself was deleted, no name is the caller's mistake. */
static int
explain_missing(const struct workspace *w, int errnum)
{
	struct stat st;

	if (errnum == ENOENT && fstat(w->root_fd, &st) == 0 && st.st_nlink == 0)
		return ESTALE;
	return errnum;
}

/* Opens with flags what must be a regular file with one name. 0 or an error number. */
static int
open_regular(int root, const char *relative, uint64_t flags, int *fd)
{
	struct stat st;
	int rc = 0;

	*fd = open_beneath(root, relative, flags);
	if (*fd < 0)
		return errno;
	if (fstat(*fd, &st) != 0)
		rc = errno;
	else if (!S_ISREG(st.st_mode))
		rc = EISDIR;
	else if (st.st_nlink > 1)
		rc = EMLINK;
	if (rc != 0) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

int
workspace_open_file(const struct workspace *w, struct span path, struct arena *a, int *fd)
{
	char *relative = relative_path(path, a);
	int named = -1;

	*fd = -1;
	if (relative == NULL)
		return arena_failed(a) ? ENOMEM : EISDIR;
	/* By name only, first: the mere open of a FIFO wakes its writer, and that of a device may do anything. */
	int rc = open_regular(w->root_fd, relative, O_PATH, &named);
	if (rc != 0)
		return explain_missing(w, rc);
	close(named);
	/* It may be another one by now. */
	return open_regular(w->root_fd, relative, O_RDONLY | O_NONBLOCK | O_NOCTTY, fd);
}

/* Opens one folder in dir, making it when it is missing. Closes dir. */
static int
step_into(int dir, const char *name, int *fd)
{
	int rc = 0;

	*fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY);
	if (*fd < 0 && errno == ENOENT) {
		bool is_there = mkdirat(dir, name, FOLDER_MODE) == 0 || errno == EEXIST;

		if (!is_there || fsync(dir) != 0)
			rc = errno;
		else
			*fd = open_beneath(dir, name, O_RDONLY | O_DIRECTORY);
	}
	if (rc == 0 && *fd < 0)
		rc = errno;
	close(dir);
	return rc;
}

static int
make_folders(int root, char *folders, int *fd)
{
	char *at = folders;
	int dir = open_beneath(root, ".", O_RDONLY | O_DIRECTORY);
	int n = 0;

	if (dir < 0)
		return errno;
	while (at != NULL) {
		char *end = strchr(at, '/');
		int rc;

		if (n++ == FOLDERS_MAX) {
			close(dir);
			return ENAMETOOLONG;
		}
		if (end != NULL)
			*end = '\0';
		rc = step_into(dir, at, &dir);
		if (rc != 0)
			return rc;
		at = end != NULL ? end + 1 : NULL;
	}
	*fd = dir;
	return 0;
}

int
workspace_open_parent(
	const struct workspace *w, struct span path, struct arena *a, int *fd, const char **name)
{
	char *relative = relative_path(path, a);
	char *slash;

	*fd = -1;
	*name = NULL;
	if (relative == NULL)
		return arena_failed(a) ? ENOMEM : EISDIR;
	slash = strrchr(relative, '/');
	if (explain_missing(w, ENOENT) == ESTALE)
		return ESTALE;
	if (slash == NULL) {
		*name = relative;
		*fd = open_beneath(w->root_fd, ".", O_RDONLY | O_DIRECTORY);
		return *fd >= 0 ? 0 : errno;
	}
	*slash = '\0';
	*name = slash + 1;
	*fd = open_beneath(w->root_fd, relative, O_RDONLY | O_DIRECTORY);
	if (*fd >= 0)
		return 0;
	if (errno != ENOENT)
		return errno;
	return make_folders(w->root_fd, relative, fd);
}
