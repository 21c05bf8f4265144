/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where readers get records from. A ledger without a writer is copied first, under a shared lock on its lock file, so that a
 * gateway that starts meanwhile waits for no one and the copy is never torn. It must never change the file it reads.
 */
#include "audit/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/store.h"
#include "audit/trailer.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/mem.h"
#include "base/must.h"

#define SOURCE_MAGIC 0x534f5243u
#define PATH_BYTES 4096
#define COPY_CHUNK 65536
/* The longest line of an export. */
#define LINE_BYTES_MAX (2 * (size_t)BUF_CAP_RECORD)

static const char sqlite_header[16] = "SQLite format 3";

struct source {
	unsigned magic;
	enum source_kind kind;
	bool is_live;
	struct store_reader *reader; /* ledger */
	char copy_dir[64];           /* "" when nothing was copied */
	struct chain_head head;
	int fd;                      /* export */
	struct buf line;             /* export: the line being read, and the trailer at the end */
	struct buf body;
	struct buf trailer;
};

/* Whether another process holds the lock; *fd (-1 when there is no lock file) keeps a shared lock otherwise. */
static bool
is_locked_by_writer(const char *path, int *fd)
{
	char name[PATH_BYTES];

	snprintf(name, sizeof(name), "%s.lock", path);
	*fd = open(name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0)
		return false;
	if (flock(*fd, LOCK_SH | LOCK_NB) == 0)
		return false;
	close(*fd);
	*fd = -1;
	return true;
}

static enum err
copy_bytes(int from, int to, struct errinfo *ei)
{
	static const char what[] = "copy for reading";
	char *chunk = mem_alloc(COPY_CHUNK);
	enum err rc = chunk != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");

	while (rc == OK) {
		ssize_t n = read(from, chunk, COPY_CHUNK);
		if (n == 0)
			break;
		if (n < 0 && errno != EINTR)
			rc = ERR(ei, ERR_IO, "%s: %s", what, strerror(errno));
		else if (n > 0)
			rc = fdio_write_all(to, span_of(chunk, (size_t)n), ei);
	}
	mem_free(chunk);
	return rc;
}

static enum err
copy_file(const char *from, const char *to, bool is_optional, struct errinfo *ei)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return is_optional && errno == ENOENT ? OK : ERR(ei, ERR_IO, "%s: %s", from, strerror(errno));
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum err rc = out >= 0 ? copy_bytes(in, out, ei) : ERR(ei, ERR_IO, "%s: %s", to, strerror(errno));
	close(in);
	if (out >= 0)
		close(out);
	return rc;
}

static enum err
open_copy(struct source *s, const char *path, struct errinfo *ei)
{
	char from[PATH_BYTES];
	char to[PATH_BYTES];
	const char *tmp = getenv("TMPDIR");

	snprintf(s->copy_dir, sizeof(s->copy_dir), "%.40s/nomos-read-XXXXXX",
		tmp != NULL && tmp[0] == '/' && strlen(tmp) <= 40 ? tmp : "/tmp");
	if (mkdtemp(s->copy_dir) == NULL) {
		s->copy_dir[0] = '\0';
		return ERR(ei, ERR_IO, "cannot make a private folder for a copy: %s", strerror(errno));
	}
	snprintf(to, sizeof(to), "%s/ledger.db", s->copy_dir);
	enum err rc = copy_file(path, to, false, ei);
	if (rc == OK) {
		snprintf(from, sizeof(from), "%s-wal", path);
		snprintf(to, sizeof(to), "%s/ledger.db-wal", s->copy_dir);
		rc = copy_file(from, to, true, ei);
	}
	snprintf(to, sizeof(to), "%s/ledger.db", s->copy_dir);
	if (rc == OK)
		rc = store_reader_open(to, STORE_READ_COPY, &s->reader, ei);
	return rc;
}

static enum err
open_ledger(struct source *s, const char *path, struct errinfo *ei)
{
	int lock_fd = -1;

	s->is_live = is_locked_by_writer(path, &lock_fd);
	enum err rc = s->is_live ? store_reader_open(path, STORE_READ_LIVE, &s->reader, ei)
				 : open_copy(s, path, ei);
	if (lock_fd >= 0)
		close(lock_fd);
	if (rc == OK)
		rc = store_reader_head(s->reader, &s->head, ei);
	return rc;
}

static enum err
find_kind(struct source *s, const char *path, struct errinfo *ei)
{
	char first[sizeof(sqlite_header)] = {0};
	struct stat st;

	s->fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (s->fd < 0)
		return ERR(ei, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return ERR(ei, ERR_INVALID, "%s: not a regular file", path);
	ssize_t n = pread(s->fd, first, sizeof(first), 0);
	if (n < 0)
		return ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	if (n == (ssize_t)sizeof(first) && memcmp(first, sqlite_header, sizeof(first)) == 0) {
		s->kind = SOURCE_LEDGER;
		return OK;
	}
	if (n == 0 || first[0] != '{')
		return ERR(ei, ERR_INVALID, "%s: neither a ledger nor an export", path);
	s->kind = SOURCE_EXPORT;
	return OK;
}

enum err
source_open(const char *path, struct source **out, struct errinfo *ei)
{
	*out = NULL;
	struct source *s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->magic = SOURCE_MAGIC;
	buf_init(&s->line, LINE_BYTES_MAX);
	buf_init(&s->body, LINE_BYTES_MAX);
	buf_init(&s->trailer, TRAILER_BYTES_MAX);
	enum err rc = find_kind(s, path, ei);
	if (rc == OK && s->kind == SOURCE_LEDGER)
		rc = open_ledger(s, path, ei);
	if (rc != OK)
		source_free(&s);
	*out = s;
	return rc;
}

static void
remove_copy(const struct source *s)
{
	static const char *const names[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal"};
	char name[PATH_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(name, sizeof(name), "%s/%s", s->copy_dir, names[i]);
		unlink(name);
	}
	rmdir(s->copy_dir);
}

void
source_free(struct source **sp)
{
	struct source *s = *sp;

	if (s == NULL)
		return;
	OBJ_CHECK(s, SOURCE_MAGIC);
	store_reader_free(&s->reader);
	if (s->copy_dir[0] != '\0')
		remove_copy(s);
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

struct span
source_get_trailer(const struct source *s)
{
	return s->trailer.n > 0 ? buf_span(&s->trailer) : SPAN_NONE;
}

struct ledger_walk {
	source_visit_fn visit;
	void *arg;
	uint64_t last;  /* newest seq that may be shown */
	uint64_t after; /* of the row shown last */
	bool is_over;
};

static bool
visit_row(const struct store_row *row, void *arg)
{
	struct ledger_walk *w = arg;
	struct source_record r = {
		.seq = row->seq, .body = row->body, .hash = span_cstr(row->hash), .state = row->state};

	if (row->seq > w->last || !w->visit(&r, w->arg)) {
		w->is_over = true;
		return false;
	}
	w->after = row->seq;
	return true;
}

static enum err
each_row(struct source *s, struct ledger_walk *w, struct errinfo *ei)
{
	while (!w->is_over) {
		size_t n = 0;
		enum err rc = store_reader_page(s->reader, w->after, STORE_PAGE_MAX, visit_row, w, &n, ei);
		if (rc != OK)
			return rc;
		if (n == 0)
			break;
	}
	return OK;
}

/* Fills s->line with the next line, without its newline; false at the end of the file. */
static enum err
read_line(struct source *s, struct buf *chunk, size_t *at, bool *has_line, struct errinfo *ei)
{
	*has_line = false;
	buf_reset(&s->line);
	for (;;) {
		struct span rest = span_from(buf_span(chunk), *at);
		size_t end = span_find(rest, '\n');
		buf_add(&s->line, rest.p, end);
		if (buf_failed(&s->line))
			return ERR(ei, ERR_TOO_LARGE, "a line is longer than %zu bytes", LINE_BYTES_MAX);
		if (end < rest.n) {
			*at += end + 1;
			*has_line = true;
			return OK;
		}
		buf_reset(chunk);
		*at = 0;
		char *room = buf_reserve(chunk, COPY_CHUNK);
		if (room == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
		ssize_t n = read(s->fd, room, COPY_CHUNK);
		if (n < 0 && errno != EINTR)
			return ERR(ei, ERR_IO, "read: %s", strerror(errno));
		if (n == 0) {
			*has_line = s->line.n > 0;
			return OK;
		}
		buf_commit(chunk, n > 0 ? (size_t)n : 0);
	}
}

static bool
visit_line(struct source *s, uint64_t line, uint64_t after, source_visit_fn visit, void *arg)
{
	struct source_record r = {.line = line, .body = buf_span(&s->line)};
	struct chain_fields fields;

	/* A trailer counts only as the last line: what follows one is judged like any other line. */
	if (s->trailer.n > 0) {
		r.is_malformed = true;
		r.body = buf_span(&s->trailer);
		return visit(&r, arg);
	}
	if (trailer_is_line(buf_span(&s->line))) {
		buf_add_span(&s->trailer, buf_span(&s->line));
		return true;
	}
	buf_reset(&s->body);
	r.is_malformed = !chain_parse_line(buf_span(&s->line), &s->body, &r.hash) || buf_failed(&s->body) ||
		!chain_read_fields(buf_span(&s->body), &fields);
	if (!r.is_malformed) {
		r.body = buf_span(&s->body);
		r.seq = fields.seq;
		if (r.seq <= after)
			return true;
	}
	return visit(&r, arg);
}

static enum err
each_line(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct buf chunk;
	size_t at = 0;
	uint64_t line = 0;
	bool has_line = true;
	enum err rc = OK;

	buf_reset(&s->trailer);
	if (lseek(s->fd, 0, SEEK_SET) != 0)
		return ERR(ei, ERR_IO, "read: %s", strerror(errno));
	buf_init(&chunk, COPY_CHUNK + 1);
	while (rc == OK && has_line) {
		rc = read_line(s, &chunk, &at, &has_line, ei);
		if (rc != OK || !has_line)
			break;
		line++;
		if (!visit_line(s, line, after, visit, arg))
			break;
	}
	buf_fini(&chunk);
	return rc;
}

enum err
source_each(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	if (s->kind == SOURCE_EXPORT)
		return each_line(s, after, visit, arg, ei);
	struct ledger_walk w = {.visit = visit, .arg = arg, .last = s->head.seq, .after = after};
	return each_row(s, &w, ei);
}
