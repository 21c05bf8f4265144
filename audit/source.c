/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where readers get records from. A ledger without a writer is copied; when it changed or a writer
 * came meanwhile, the copy is thrown away and the question asked again. It must never change the
 * file it reads. Blocking.
 */
#define _GNU_SOURCE /* flock */

#include "audit/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/file.h>
#include <sys/stat.h>

#include "audit/store.h"
#include "audit/trailer.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/must.h"
#include "source_copy.h"
#include "source_priv.h"

#define SOURCE_MAGIC 0x534f5243u
#define OPEN_ATTEMPTS 4

static const char sqlite_header[16] = "SQLite format 3";

enum err
source_find_writer(const char *path, bool *is_live, struct errinfo *ei)
{
	struct buf name;

	*is_live = false;
	buf_init(&name, SOURCE_PATH_MAX);
	buf_printf(&name, "%s.lock", path);
	int fd = buf_failed(&name) ? -1 : open(name.p, O_RDONLY | O_CLOEXEC);
	int errnum = buf_failed(&name) ? ENAMETOOLONG : errno;
	buf_fini(&name);
	if (fd < 0)
		return errnum == ENOENT
			       ? OK
			       : ERR(ei, ERR_IO, "cannot tell whether a gateway writes %s: %s",
					 path, strerror(errnum));
	*is_live = flock(fd, LOCK_SH | LOCK_NB) != 0;
	close(fd);
	return OK;
}

static enum err
open_live(struct source *s, const char *path, struct errinfo *ei)
{
	enum err rc = store_reader_open(path, STORE_READ_LIVE, &s->reader, ei);

	return rc == OK ? store_reader_head(s->reader, &s->head, ei) : rc;
}

static enum err
open_copy(struct source *s, const char *path, struct errinfo *ei)
{
	struct source_copy copy;
	enum err rc = source_copy_make(&copy, path, ei);

	if (rc == OK)
		rc = store_reader_open(copy.path, STORE_READ_COPY, &s->reader, ei);
	if (rc == OK)
		rc = store_reader_head(s->reader, &s->head, ei);
	/* Open files need no name, and without one nothing stays behind however this process ends.
	 */
	source_copy_remove(&copy);
	return rc;
}

/* Opens the ledger in the way that fits what is known now; *is_current says whether that was still
 * so afterwards. */
static enum err
open_once(struct source *s, const char *path, bool *is_current, struct errinfo *ei)
{
	struct source_stamp before;
	bool is_live = false;

	source_stamp_take(&before, path);
	enum err rc = source_find_writer(path, &s->is_live, ei);
	if (rc != OK)
		return rc;
	rc = s->is_live ? open_live(s, path, ei) : open_copy(s, path, ei);
	enum err found = source_find_writer(path, &is_live, rc == OK ? ei : NULL);
	if (found != OK)
		return rc == OK ? found : rc;
	*is_current = is_live == s->is_live && (is_live || source_stamp_is_same(&before, path));
	return rc;
}

static enum err
open_shared(struct source *s, const char *path, struct errinfo *ei)
{
	for (unsigned i = 0; i < OPEN_ATTEMPTS; i++) {
		bool is_current = false;
		enum err rc = open_once(s, path, &is_current, ei);
		if (is_current ||
			(rc != OK && rc != ERR_CORRUPT && rc != ERR_INVALID && rc != ERR_NOT_FOUND))
			return rc;
		store_reader_free(&s->reader);
	}
	return ERR(ei, ERR_BUSY, "%s was written while it was copied; try again", path);
}

static enum err
open_ledger(struct source *s, const char *path, enum source_access access, struct errinfo *ei)
{
	enum err rc = OK;

	s->page = source_page_new();
	if (s->page == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	switch (access) {
	case SOURCE_SHARED:
		rc = open_shared(s, path, ei);
		break;
	case SOURCE_LOCKED:
		rc = open_copy(s, path, ei);
		break;
	case SOURCE_PRIVATE:
		rc = store_reader_open(path, STORE_READ_COPY, &s->reader, ei);
		if (rc == OK)
			rc = store_reader_head(s->reader, &s->head, ei);
		break;
	}
	return rc;
}

static enum err
find_kind(struct source *s, const char *path, struct errinfo *ei)
{
	char first[sizeof(sqlite_header)] = {0};
	struct stat st;

	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (s->fd < 0)
		return ERR(ei, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO,
			"%s: %s", path, strerror(errno));
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ERR(ei, ERR_INVALID, "%s: not a regular file", path);
	ssize_t n = pread(s->fd, first, sizeof(first), 0);
	if (n < 0)
		return ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	if (n == (ssize_t)sizeof(first) && memcmp(first, sqlite_header, sizeof(first)) == 0) {
		s->kind = SOURCE_LEDGER;
		/* Before SQLite has locks on the file, which closing this would drop. */
		close(s->fd);
		s->fd = -1;
		return OK;
	}
	if (n == 0 || first[0] != '{')
		return ERR(ei, ERR_INVALID, "%s: neither a ledger nor an export", path);
	s->kind = SOURCE_EXPORT;
	return OK;
}

enum err
source_open(const char *path, enum source_access access, struct source **out, struct errinfo *ei)
{
	*out = NULL;
	struct source *s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->magic = SOURCE_MAGIC;
	s->fd = -1;
	buf_init(&s->line, SOURCE_LINE_BYTES_MAX);
	buf_init(&s->body, SOURCE_LINE_BYTES_MAX);
	buf_init(&s->trailer, TRAILER_BYTES_MAX);
	enum err rc = find_kind(s, path, ei);
	if (rc == OK && s->kind == SOURCE_LEDGER)
		rc = open_ledger(s, path, access, ei);
	if (rc != OK)
		source_free(&s);
	*out = s;
	return rc;
}

void
source_free(struct source **sp)
{
	struct source *s = *sp;

	if (s == NULL)
		return;
	OBJ_CHECK(s, SOURCE_MAGIC);
	store_reader_free(&s->reader);
	source_page_free(&s->page);
	if (s->fd >= 0)
		close(s->fd);
	buf_fini(&s->line);
	buf_fini(&s->body);
	buf_fini(&s->trailer);
	s->magic = 0;
	mem_free(s);
	*sp = NULL;
}

enum source_kind
source_get_kind(const struct source *s)
{
	return s->kind;
}

bool
source_is_live(const struct source *s)
{
	return s->is_live;
}

struct chain_head
source_get_head(const struct source *s)
{
	return s->head;
}

struct store_reader *
source_get_reader(struct source *s)
{
	return s->reader;
}

struct span
source_get_trailer(const struct source *s)
{
	return s->trailer.n > 0 ? buf_span(&s->trailer) : SPAN_NONE;
}

enum err
source_refresh(struct source *s, struct errinfo *ei)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	return s->is_live ? store_reader_head(s->reader, &s->head, ei) : OK;
}

enum err
source_each(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	if (s->kind == SOURCE_EXPORT)
		return source_each_line(s, after, visit, arg, ei);
	return source_each_row(s, after, visit, arg, ei);
}
