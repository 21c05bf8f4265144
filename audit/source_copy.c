/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying a ledger's files to a folder that only this user may enter. It must never leave the copy
 * behind: what it holds is evidence about people. Blocking.
 */
#include "source_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/mem.h"

#define COPY_CHUNK ((size_t)256 * 1024)
#define COPY_NAME "ledger.db"

static const char *const suffixes[SOURCE_FILES] = {"", "-wal", "-journal"};

/* False when the name does not fit. */
static bool
join(char out[SOURCE_PATH_MAX], const char *path, const char *suffix)
{
	int n = snprintf(out, SOURCE_PATH_MAX, "%s%s", path, suffix);

	return n > 0 && n < SOURCE_PATH_MAX;
}

void
source_stamp_take(struct source_stamp *stamp, const char *path)
{
	char name[SOURCE_PATH_MAX];

	for (size_t i = 0; i < SOURCE_FILES; i++) {
		struct stat *st = &stamp->files[i];
		if (!join(name, path, suffixes[i]) || stat(name, st) != 0)
			*st = (struct stat){0};
	}
}

static bool
is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool
source_stamp_is_same(const struct source_stamp *stamp, const char *path)
{
	struct source_stamp now;

	source_stamp_take(&now, path);
	for (size_t i = 0; i < SOURCE_FILES; i++) {
		const struct stat *a = &stamp->files[i];
		const struct stat *b = &now.files[i];
		if (a->st_dev != b->st_dev || a->st_ino != b->st_ino || a->st_size != b->st_size ||
			(a->st_nlink == 0) != (b->st_nlink == 0) ||
			!is_same_time(&a->st_mtim, &b->st_mtim))
			return false;
	}
	return true;
}

static enum err
copy_bytes(int from, int to, struct errinfo *ei)
{
	char *chunk = mem_alloc(COPY_CHUNK);
	enum err rc = chunk != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");

	while (rc == OK) {
		ssize_t n = read(from, chunk, COPY_CHUNK);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			rc = ERR_ERRNO(ei, ERR_IO, errno, "read");
		else if (n > 0)
			rc = fdio_write_all(to, span_of(chunk, (size_t)n), ei);
	}
	mem_free(chunk);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "copy for reading (TMPDIR chooses another folder)");
}

static enum err
copy_file(const char *from, const char *to, bool is_optional, struct errinfo *ei)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return is_optional && errno == ENOENT ? OK
						      : ERR_ERRNO(ei, ERR_IO, errno, "%s", from);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum err rc = out >= 0 ? copy_bytes(in, out, ei) : ERR_ERRNO(ei, ERR_IO, errno, "%s", to);
	close(in);
	if (out >= 0)
		close(out);
	return rc;
}

static enum err
make_folder(struct source_copy *c, struct errinfo *ei)
{
	const char *tmp = getenv("TMPDIR");
	bool is_usable = tmp != NULL && tmp[0] == '/' && strlen(tmp) < sizeof(c->folder) - 64;

	snprintf(c->folder, sizeof(c->folder), "%s/nomos-read-XXXXXX", is_usable ? tmp : "/tmp");
	if (mkdtemp(c->folder) == NULL) {
		enum err rc =
			ERR_ERRNO(ei, ERR_IO, errno, "cannot make a private folder for a copy");
		c->folder[0] = '\0';
		return rc;
	}
	return OK;
}

enum err
source_copy_make(struct source_copy *c, const char *path, struct errinfo *ei)
{
	char from[SOURCE_PATH_MAX];
	char to[SOURCE_PATH_MAX];

	c->path[0] = '\0';
	enum err rc = make_folder(c, ei);
	if (rc == OK && !join(c->path, c->folder, "/" COPY_NAME))
		rc = ERR(ei, ERR_IO, "TMPDIR is too long");
	for (size_t i = 0; rc == OK && i < SOURCE_FILES; i++) {
		if (!join(from, path, suffixes[i]) || !join(to, c->path, suffixes[i]))
			rc = ERR(ei, ERR_INVALID, "the path is too long");
		else
			rc = copy_file(from, to, i > 0, ei);
	}
	return rc;
}

void
source_copy_remove(struct source_copy *c)
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal"};
	char name[SOURCE_PATH_MAX];

	if (c->folder[0] == '\0')
		return;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (join(name, c->path, names[i]))
			unlink(name);
	}
	rmdir(c->folder);
	c->folder[0] = '\0';
}
