/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where readers get records from. A ledger without a writer is copied; when it changed or a writer
 * came meanwhile, the copy is thrown away and the question asked again. It must never change the
 * file it reads, and never hold a transaction open while somebody else works. Blocking.
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

#define SOURCE_MAGIC 0x534f5243u
#define READ_CHUNK 65536
/* The longest line of an export, and the longest body of a row that is looked at. */
#define LINE_BYTES_MAX (2 * (size_t)BUF_CAP_RECORD)
/* What is kept in memory of a page, beside its last row. */
#define PAGE_BYTES ((size_t)4 * 1024 * 1024)
#define OPEN_ATTEMPTS 4

static const char sqlite_header[16] = "SQLite format 3";

struct page_row {
	uint64_t seq;
	int state;
	char hash[SHA256_HEX + 1];
	bool is_too_long;
	size_t at; /* of the body in the page's bytes */
	size_t n;
};

/* Rows that were read in one transaction. */
struct page {
	struct page_row rows[STORE_PAGE_MAX];
	size_t n;
	struct buf bytes;
	uint64_t last; /* newest seq that may be shown */
	bool is_over;
};

struct source {
	unsigned magic;
	enum source_kind kind;
	bool is_live;
	struct store_reader *reader; /* ledger */
	struct page *page;           /* ledger */
	struct chain_head head;
	int fd;          /* export; -1 otherwise */
	struct buf line; /* export: the line being read */
	struct buf body;
	struct buf trailer;
};

/* ---- opening ---- */

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

	s->page = mem_zalloc(1, sizeof(*s->page));
	if (s->page == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	buf_init(&s->page->bytes, PAGE_BYTES + LINE_BYTES_MAX);
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
	buf_init(&s->line, LINE_BYTES_MAX);
	buf_init(&s->body, LINE_BYTES_MAX);
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
	if (s->page != NULL)
		buf_fini(&s->page->bytes);
	mem_free(s->page);
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

/* ---- rows of a ledger ---- */

static bool
collect_row(const struct store_row *row, void *arg)
{
	struct page *p = arg;
	struct page_row *to = &p->rows[p->n];
	bool is_too_long = row->body.n > LINE_BYTES_MAX;

	if (row->seq > p->last) {
		p->is_over = true;
		return false;
	}
	if (p->n > 0 && !is_too_long && p->bytes.n + row->body.n > PAGE_BYTES)
		return false;
	*to = (struct page_row){.seq = row->seq, .state = row->state, .is_too_long = is_too_long};
	memcpy(to->hash, row->hash, sizeof(to->hash));
	to->at = p->bytes.n;
	to->n = is_too_long ? 0 : row->body.n;
	buf_add(&p->bytes, row->body.p, to->n);
	p->n++;
	return p->n < STORE_PAGE_MAX && !buf_failed(&p->bytes);
}

static bool
show_page(const struct page *p, source_visit_fn visit, void *arg)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct page_row *row = &p->rows[i];
		struct source_record r = {
			.seq = row->seq,
			.body = span_of(buf_span(&p->bytes).p + row->at, row->n),
			.hash = span_cstr(row->hash),
			.state = row->state,
			.is_malformed = row->is_too_long,
		};
		if (!visit(&r, arg))
			return false;
	}
	return true;
}

/* Nobody waits for the end of a transaction on a private copy, so its rows need not be gathered first. */
struct showing {
	source_visit_fn visit;
	void *arg;
	uint64_t last; /* newest seq that may be shown */
	uint64_t after;
	bool is_over;
};

static bool
show_row(const struct store_row *row, void *arg)
{
	struct showing *w = arg;
	bool is_too_long = row->body.n > LINE_BYTES_MAX;
	struct source_record r = {
		.seq = row->seq,
		.body = is_too_long ? span_of(row->body.p, 0) : row->body,
		.hash = span_of(row->hash, SHA256_HEX),
		.state = row->state,
		.is_malformed = is_too_long,
	};

	w->after = row->seq;
	w->is_over = row->seq > w->last || !w->visit(&r, w->arg);
	return !w->is_over;
}

static enum err
each_row_of_copy(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct showing w = {.visit = visit, .arg = arg, .last = s->head.seq, .after = after};
	size_t n = 1;
	enum err rc = OK;

	while (rc == OK && n > 0 && !w.is_over && w.after < w.last)
		rc = store_reader_page(s->reader, w.after, STORE_PAGE_MAX, show_row, &w, &n, ei);
	return w.is_over ? OK : rc;
}

static enum err
each_row(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct page *p = s->page;

	p->last = s->head.seq;
	p->is_over = false;
	while (!p->is_over && after < p->last) {
		size_t n = 0;
		p->n = 0;
		buf_reset(&p->bytes);
		enum err rc =
			store_reader_page(s->reader, after, STORE_PAGE_MAX, collect_row, p, &n, ei);
		if (rc == OK && buf_failed(&p->bytes))
			rc = ERR(ei, ERR_NOMEM, "out of memory");
		/* What was read before a damaged row is shown, so that its fault is found behind
		 * theirs. */
		if (!show_page(p, visit, arg))
			return OK;
		if (rc != OK || p->n == 0)
			return rc;
		after = p->rows[p->n - 1].seq;
	}
	return OK;
}

/* ---- lines of an export ---- */

struct line_reader {
	struct buf chunk;
	size_t at;     /* first byte of the chunk that was not taken */
	uint64_t line; /* number of the line taken last */
};

/* Fills s->line with the next line, without its newline; false at the end of the file. */
static enum err
read_line(struct source *s, struct line_reader *in, bool *has_line, struct errinfo *ei)
{
	*has_line = false;
	buf_reset(&s->line);
	for (;;) {
		struct span rest = span_from(buf_span(&in->chunk), in->at);
		size_t end = span_find(rest, '\n');
		if (end > LINE_BYTES_MAX - s->line.n)
			return ERR(ei, ERR_TOO_LARGE, "line %llu is longer than any record",
				(unsigned long long)in->line + 1);
		buf_add(&s->line, rest.p, end);
		if (buf_failed(&s->line))
			return ERR(ei, ERR_NOMEM, "out of memory");
		if (end < rest.n) {
			in->at += end + 1;
			*has_line = true;
			break;
		}
		buf_reset(&in->chunk);
		in->at = 0;
		char *room = buf_reserve(&in->chunk, READ_CHUNK);
		if (room == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
		ssize_t n = read(s->fd, room, READ_CHUNK);
		if (n < 0 && errno != EINTR)
			return ERR(ei, ERR_IO, "read: %s", strerror(errno));
		if (n == 0) {
			*has_line = s->line.n > 0;
			break;
		}
		buf_commit(&in->chunk, n > 0 ? (size_t)n : 0);
	}
	if (*has_line)
		in->line++;
	return OK;
}

static bool
visit_line(struct source *s, uint64_t line, uint64_t after, source_visit_fn visit, void *arg)
{
	struct source_record r = {.line = line, .body = buf_span(&s->line)};
	struct chain_fields fields;

	/* A trailer counts only as the last line. */
	if (s->trailer.n > 0) {
		r.is_malformed = true;
		r.is_behind_trailer = true;
		return visit(&r, arg);
	}
	if (trailer_is_line(buf_span(&s->line))) {
		buf_add_span(&s->trailer, buf_span(&s->line));
		return true;
	}
	buf_reset(&s->body);
	r.is_malformed = !chain_parse_line(buf_span(&s->line), &s->body, &r.hash) ||
			 buf_failed(&s->body) || !chain_read_fields(buf_span(&s->body), &fields);
	if (!r.is_malformed) {
		r.body = buf_span(&s->body);
		r.seq = fields.seq;
		if (r.seq <= after && after > 0)
			return true;
	}
	return visit(&r, arg);
}

static enum err
each_line(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct line_reader in = {.at = 0};
	bool has_line = true;
	enum err rc = OK;

	buf_reset(&s->trailer);
	if (lseek(s->fd, 0, SEEK_SET) != 0)
		return ERR(ei, ERR_IO, "read: %s", strerror(errno));
	buf_init(&in.chunk, READ_CHUNK + 1);
	while (rc == OK && has_line) {
		rc = read_line(s, &in, &has_line, ei);
		if (rc == OK && has_line && !visit_line(s, in.line, after, visit, arg))
			break;
	}
	buf_fini(&in.chunk);
	return rc == OK && buf_failed(&s->trailer) ? ERR(ei, ERR_NOMEM, "out of memory") : rc;
}

enum err
source_each(struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	OBJ_CHECK(s, SOURCE_MAGIC);
	if (s->kind == SOURCE_EXPORT)
		return each_line(s, after, visit, arg, ei);
	return s->is_live ? each_row(s, after, visit, arg, ei)
			  : each_row_of_copy(s, after, visit, arg, ei);
}
