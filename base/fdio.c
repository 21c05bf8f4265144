/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole files, blocking. A file that is replaced is either the old one or the new one, never a
 * part, also after a power cut. Must never open a FIFO, a device or a socket and wait on it. Runs
 * at start-up, on the pool and in the command line; never on a loop.
 */
#define _GNU_SOURCE /* renameat2 */

#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rand.h"

#define READ_STEP ((size_t)16 * 1024)
#define TMP_NAME_MAX 48

static enum err
read_error(const char *path, int errnum, struct errinfo *ei)
{
	bool is_missing = errnum == ENOENT || errnum == ENOTDIR;

	return ERR_ERRNO(ei, is_missing ? ERR_NOT_FOUND : ERR_IO, errnum, "%s", path);
}

/* Whether the path names what may be opened at all: the mere open of a FIFO wakes its writer, and that of a device may do
 * anything. */
static enum err
check_regular(const char *path, struct errinfo *ei)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return read_error(path, errno, ei);
	return S_ISREG(st.st_mode) ? OK : ERR(ei, ERR_INVALID, "%s: not a regular file", path);
}

/* Opens a regular file of at most max bytes; *fd is -1 on failure. */
static enum err
open_regular(const char *path, size_t max, int *fd, struct stat *st, struct errinfo *ei)
{
	enum err rc = check_regular(path, ei);

	*fd = -1;
	if (rc != OK)
		return rc;
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on what passes
	 * the check. */
	*fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (*fd < 0)
		return read_error(path, errno, ei);
	if (fstat(*fd, st) != 0)
		rc = read_error(path, errno, ei);
	else if (!S_ISREG(st->st_mode))
		rc = ERR(ei, ERR_INVALID, "%s: not a regular file", path);
	else if ((uintmax_t)st->st_size > max)
		rc = ERR(ei, ERR_TOO_LARGE, "%s: over %zu bytes", path, max);
	if (rc != OK) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

/* Reads to the end of the file: what fstat said may be out of date, or 0 as in /proc. */
static enum err
read_to_end(int fd, const char *path, size_t max, struct buf *out, struct errinfo *ei)
{
	char chunk[READ_STEP];
	size_t total = 0;
	enum err rc = OK;

	while (rc == OK) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			rc = read_error(path, errno, ei);
		} else if ((size_t)n > max - total || (size_t)n > out->cap - out->n) {
			rc = ERR(ei, ERR_TOO_LARGE, "%s: over %zu bytes", path, max);
		} else {
			total += (size_t)n;
			buf_add(out, chunk, (size_t)n);
			if (buf_failed(out))
				rc = ERR(ei, ERR_NOMEM, "%s: out of memory", path);
		}
	}
	/* The file may be a key. */
	mem_wipe(chunk, sizeof(chunk));
	return rc;
}

/* Half of one version and half of the next is neither. */
static enum err
check_unchanged(int fd, const char *path, const struct stat *before, struct errinfo *ei)
{
	struct stat now;

	if (fstat(fd, &now) != 0)
		return read_error(path, errno, ei);
	if (now.st_size != before->st_size || now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != before->st_mtim.tv_nsec)
		return ERR(ei, ERR_IO, "%s: changed while it was read; write beside it and rename",
			path);
	return OK;
}

enum err
fdio_read_file(const char *path, size_t max, struct buf *out, struct errinfo *ei)
{
	size_t start = out->n;
	struct stat st;
	int fd = -1;
	enum err rc = open_regular(path, max, &fd, &st, ei);

	if (rc != OK)
		return rc;
	rc = read_to_end(fd, path, max, out, ei);
	if (rc == OK)
		rc = check_unchanged(fd, path, &st, ei);
	close(fd);
	if (rc != OK)
		buf_truncate(out, start);
	return rc;
}

enum err
fdio_write_all(int fd, struct span data, struct errinfo *ei)
{
	while (data.n > 0) {
		ssize_t n = write(fd, data.p, data.n);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_ERRNO(ei, ERR_IO, errno, "write");
		data = span_from(data, (size_t)n);
	}
	return OK;
}

/* A file that is being replaced: its folder and its own name. */
struct target {
	const char *path;
	const char *name;
	int dir_fd;
	char tmp_name[TMP_NAME_MAX];
};

static enum err
open_folder(struct target *t, struct errinfo *ei)
{
	const char *slash = strrchr(t->path, '/');
	struct span dir = SPAN_LIT(".");

	t->name = slash != NULL ? slash + 1 : t->path;
	if (t->name[0] == '\0')
		return ERR(ei, ERR_IO, "%s: not a file name", t->path);
	if (slash != NULL)
		dir = span_of(t->path, slash == t->path ? 1 : (size_t)(slash - t->path));
	char *dir_path = mem_dup_span(dir);
	if (dir_path == NULL)
		return ERR(ei, ERR_NOMEM, "%s: out of memory", t->path);
	t->dir_fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int errnum = errno;
	mem_free(dir_path);
	return t->dir_fd >= 0 ? OK : ERR_ERRNO(ei, ERR_IO, errnum, "%s", t->path);
}

/* A name that nobody can have prepared and that fits whatever the target's name is. */
static enum err
choose_tmp_name(struct target *t, struct errinfo *ei)
{
	unsigned char noise[8];
	char hex[2 * sizeof(noise) + 1];
	enum err rc = rand_bytes(noise, sizeof(noise), ei);

	if (rc != OK)
		return ERR_WRAP(ei, rc, "%s", t->path);
	hash_hex(noise, sizeof(noise), hex);
	snprintf(t->tmp_name, sizeof(t->tmp_name), ".nomos-%s.tmp", hex);
	return OK;
}

/* Everything that has to be on the disk before the rename. */
static enum err
fill_tmp_file(const struct target *t, int fd, struct span data, struct errinfo *ei)
{
	enum err rc = FAULT_AROUND(FILE_WRITE, ei, fdio_write_all(fd, data, ei));

	if (rc != OK)
		rc = ERR_WRAP(ei, rc, "%s", t->path);
	else if (FAULT_BEFORE(FILE_SYNC) || fsync(fd) != 0 || FAULT_AFTER(FILE_SYNC))
		rc = ERR_ERRNO(ei, ERR_IO, errno, "%s: fsync", t->path);
	if (close(fd) != 0 && rc == OK)
		rc = ERR_ERRNO(ei, ERR_IO, errno, "%s: close", t->path);
	return rc;
}

static enum err
sync_folder(const struct target *t, struct errinfo *ei)
{
	if (FAULT_BEFORE(FILE_SYNC_FOLDER) || fsync(t->dir_fd) != 0 ||
		FAULT_AFTER(FILE_SYNC_FOLDER))
		return ERR_ERRNO(ei, ERR_IO, errno, "%s: fsync of the folder", t->path);
	return OK;
}

/* flags as of renameat2(2). */
static enum err
rename_tmp_file(const struct target *t, unsigned flags, struct errinfo *ei)
{
	if (FAULT_BEFORE(FILE_RENAME) ||
		renameat2(t->dir_fd, t->tmp_name, t->dir_fd, t->name, flags) != 0)
		return ERR_ERRNO(
			ei, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno, "%s: rename", t->path);
	if (FAULT_AFTER(FILE_RENAME))
		return ERR_ERRNO(ei, ERR_IO, errno, "%s: rename", t->path);
	return OK;
}

static enum err
put_in_place(const struct target *t, struct span data, unsigned mode, unsigned rename_flags,
	struct errinfo *ei)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = FAULT_BEFORE(FILE_CREATE) ? -1
					   : openat(t->dir_fd, t->tmp_name, flags, (mode_t)mode);

	if (fd < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", t->path);
	(void)FAULT_AFTER(FILE_CREATE);
	enum err rc = fill_tmp_file(t, fd, data, ei);
	if (rc == OK)
		rc = rename_tmp_file(t, rename_flags, ei);
	if (rc != OK) {
		unlinkat(t->dir_fd, t->tmp_name, 0);
		return rc;
	}
	return sync_folder(t, ei);
}

static enum err
write_whole(const char *path, struct span data, unsigned mode, unsigned rename_flags,
	struct errinfo *ei)
{
	struct target t = {.path = path, .dir_fd = -1};
	enum err rc = open_folder(&t, ei);

	if (rc == OK)
		rc = choose_tmp_name(&t, ei);
	if (rc == OK)
		rc = put_in_place(&t, data, mode, rename_flags, ei);
	if (t.dir_fd >= 0)
		close(t.dir_fd);
	return rc;
}

enum err
fdio_write_file(const char *path, struct span data, unsigned mode, struct errinfo *ei)
{
	return write_whole(path, data, mode, 0, ei);
}

enum err
fdio_write_new_file(const char *path, struct span data, unsigned mode, struct errinfo *ei)
{
	return write_whole(path, data, mode, RENAME_NOREPLACE, ei);
}

enum err
fdio_sync_folder(const char *path, struct errinfo *ei)
{
	struct target t = {.path = path, .dir_fd = -1};
	enum err rc = open_folder(&t, ei);

	if (rc == OK)
		rc = sync_folder(&t, ei);
	if (t.dir_fd >= 0)
		close(t.dir_fd);
	return rc;
}

/* Takes the last part off; what cannot be taken off ("..", nothing, the root) is met with one
 * more "..". */
static size_t
go_up(char *out, size_t len, bool is_absolute)
{
	size_t root = is_absolute ? 1 : 0;
	size_t at = len;

	while (at > root && out[at - 1] != '/')
		at--;
	bool is_parent = len - at == 2 && out[at] == '.' && out[at + 1] == '.';
	if (len > root && !is_parent)
		return at > root ? at - 1 : root;
	if (is_absolute)
		return len;
	if (len > 0) {
		out[len] = '/';
		len++;
	}
	memcpy(out + len, "..", 2);
	return len + 2;
}

/* Cleans path (NUL-terminated) in place, as Go's path.Clean: it never gets longer. */
static void
clean(char *path)
{
	bool is_absolute = path[0] == '/';
	size_t root = is_absolute ? 1 : 0;
	size_t len = root;
	const char *in = path;

	while (*in != '\0') {
		size_t n = strcspn(in, "/");
		if (n == 2 && in[0] == '.' && in[1] == '.') {
			len = go_up(path, len, is_absolute);
		} else if (n > 0 && !(n == 1 && in[0] == '.')) {
			if (len > root) {
				path[len] = '/';
				len++;
			}
			memmove(path + len, in, n);
			len += n;
		}
		in += n;
		in += *in == '/' ? 1 : 0;
	}
	if (len == 0) {
		path[0] = '.';
		len = 1;
	}
	path[len] = '\0';
}

char *
fdio_join(struct arena *a, const char *dir, struct span path)
{
	struct span prefix = span_cstr(dir);
	bool is_absolute = path.n > 0 && (path.p[0] == '/' || path.p[0] == '\\');

	/* A NUL would make the file that is opened another one than the one that was named. */
	if (span_find(path, '\0') < path.n)
		return NULL;
	if (is_absolute)
		prefix = SPAN_NONE;
	const char *slash = prefix.n > 0 ? "/" : "";
	/* Room for "." when both are empty. */
	char *out = prefix.n + path.n < SIZE_MAX / 2 ? arena_alloc(a, prefix.n + path.n + 3) : NULL;
	if (out == NULL)
		return NULL;
	snprintf(out, prefix.n + 2, "%s%s", prefix.n > 0 ? prefix.p : "", slash);
	char *tail = out + strlen(out);
	for (size_t i = 0; i < path.n; i++)
		tail[i] = (char)(path.p[i] == '\\' ? '/' : path.p[i]);
	tail[path.n] = '\0';
	clean(out);
	return out;
}
