/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan leaps: each condition is asked for its first record at or beyond the place reached, and
 * the place moves to the farthest answer until all agree. So the rarest condition sets the pace,
 * whichever it is, and nothing is counted beforehand.
 */
#include "index_scan.h"

#include <stdio.h>

#include <sys/stat.h>

#include "base/mem.h"
#include "base/must.h"
#include "index_matches.h"
#include "index_postings.h"
#include "query_terms.h"
#include "store_sqlite.h"

#define SCAN_MAGIC 0x1d3c0002u
#define BUSY_MS 2000

struct index_scan {
	unsigned magic;
	struct db *db;
	struct db_stmt *down;
	struct db_stmt *up;
	struct db_stmt *prefix;
	struct db_stmt *times;
	struct index_header header;
	struct query_term terms[INDEX_N_FIELDS];
	size_t n_terms;
	struct index_matches matches; /* of the one term that may be a prefix */
	const struct query_filter *wanted_times;
	char path[INDEX_PATH_MAX];
	struct stat opened; /* st_nlink 0: the file is live */
};

static enum err
prepare_all(struct index_scan *s, struct errinfo *ei)
{
	enum err rc = db_prepare(s->db,
		"SELECT seq, more FROM entries WHERE segment = ?1 AND field = ?2 AND value = ?3"
		" AND seq <= ?4 ORDER BY seq DESC LIMIT 1",
		&s->down, ei);

	if (rc == OK)
		rc = db_prepare(s->db,
			"SELECT seq, more FROM entries WHERE segment = ?1 AND field = ?2"
			" AND value = ?3 AND seq >= ?4 ORDER BY seq LIMIT 1",
			&s->up, ei);
	if (rc == OK)
		rc = db_prepare(s->db,
			"SELECT seq, more FROM entries WHERE segment = ?1 AND field = ?2"
			" AND value >= ?3 AND value < ?4",
			&s->prefix, ei);
	if (rc == OK)
		rc = db_prepare(s->db,
			"SELECT low, high FROM times WHERE level = ?1 AND block = ?2", &s->times,
			ei);
	return rc;
}

static bool
has_log(const char *index)
{
	char name[INDEX_PATH_MAX + 8];
	struct stat st;

	snprintf(name, sizeof(name), "%s-wal", index);
	return stat(name, &st) == 0 && st.st_size > 0;
}

enum err
index_scan_new(const char *path, bool is_live, const struct query *q, struct index_scan **out,
	struct errinfo *ei)
{
	*out = NULL;
	struct index_scan *s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->magic = SCAN_MAGIC;
	s->n_terms = query_get_terms(q, s->terms);
	s->wanted_times = query_get_times(q);
	int n = snprintf(s->path, sizeof(s->path), "%s" INDEX_SUFFIX, path);
	enum err rc = n > 0 && (size_t)n < sizeof(s->path)
			      ? OK
			      : ERR(ei, ERR_TOO_LARGE, "the path is too long");
	/* A FIFO would keep the search waiting for a writer. */
	if (rc == OK && (stat(s->path, &s->opened) != 0 || !S_ISREG(s->opened.st_mode) ||
				(!is_live && has_log(s->path))))
		rc = ERR(ei, ERR_NOT_FOUND, "there is no search index that can be read");
	if (is_live)
		s->opened = (struct stat){0};
	if (rc == OK)
		rc = db_open(s->path, is_live ? DB_READ : DB_FROZEN, BUSY_MS, &s->db, ei);
	if (rc == OK)
		rc = index_read_header(s->db, &s->header, ei);
	if (rc == OK)
		rc = prepare_all(s, ei);
	if (rc != OK)
		index_scan_free(&s);
	*out = s;
	return rc;
}

void
index_scan_free(struct index_scan **s)
{
	if (*s == NULL)
		return;
	OBJ_CHECK(*s, SCAN_MAGIC);
	db_stmt_free(&(*s)->down);
	db_stmt_free(&(*s)->up);
	db_stmt_free(&(*s)->prefix);
	db_stmt_free(&(*s)->times);
	db_free(&(*s)->db);
	index_matches_fini(&(*s)->matches);
	(*s)->magic = 0;
	mem_free(*s);
	*s = NULL;
}

const struct index_header *
index_scan_header(const struct index_scan *s)
{
	OBJ_CHECK(s, SCAN_MAGIC);
	return &s->header;
}

bool
index_scan_is_current(const struct index_scan *s)
{
	struct stat now;

	OBJ_CHECK(s, SCAN_MAGIC);
	if (s->opened.st_nlink == 0)
		return true;
	return stat(s->path, &now) == 0 && now.st_ino == s->opened.st_ino &&
	       now.st_dev == s->opened.st_dev && now.st_size == s->opened.st_size &&
	       now.st_mtim.tv_sec == s->opened.st_mtim.tv_sec &&
	       now.st_mtim.tv_nsec == s->opened.st_mtim.tv_nsec && !has_log(s->path);
}

/* The row of a value that begins at `at` or nearest to it in the statement's direction. */
static enum err
find_row(struct index_scan *s, struct db_stmt *st, const struct query_term *t, uint64_t at,
	struct postings *p, bool *has_row, struct errinfo *ei)
{
	db_bind_int(st, 1, (int64_t)(at >> s->header.shift));
	db_bind_int(st, 2, t->field);
	db_bind_blob(st, 3, t->value);
	db_bind_int(st, 4, (int64_t)at);
	enum err rc = db_step(st, has_row, ei);
	if (rc != OK || !*has_row)
		return rc;
	rc = index_read_row(st, p, ei);
	db_reset(st);
	return rc;
}

/* *seq: the first that has the term, from `at` on, in at's segment; 0: none. */
static enum err
seek_term(struct index_scan *s, const struct query_term *t, uint64_t at, bool is_down,
	uint64_t *seq, struct errinfo *ei)
{
	struct postings p;
	bool has_row = false;

	*seq = 0;
	if (t->is_prefix) {
		enum err loaded = index_matches_load(
			&s->matches, s->prefix, t, at >> s->header.shift, s->header.shift, ei);
		if (loaded == OK)
			*seq = index_matches_find(&s->matches, at, is_down);
		return loaded;
	}
	/* The row that begins before `at` may reach beyond it. */
	enum err rc = find_row(s, s->down, t, at, &p, &has_row, ei);
	if (rc == OK && has_row)
		*seq = is_down ? postings_down(&p, at) : postings_up(&p, at);
	if (rc != OK || is_down || *seq != 0)
		return rc;
	rc = find_row(s, s->up, t, at, &p, &has_row, ei);
	if (rc == OK && has_row)
		*seq = p.first;
	return rc;
}

/* Whether a block may hold a record of the wanted time; one without times holds none. */
static enum err
is_in_time(
	struct index_scan *s, enum index_level level, uint64_t block, bool *may, struct errinfo *ei)
{
	const struct query_filter *f = s->wanted_times;
	bool has_row = false;

	*may = false;
	db_bind_int(s->times, 1, level);
	db_bind_int(s->times, 2, (int64_t)block);
	enum err rc = db_step(s->times, &has_row, ei);
	if (rc == OK && has_row) {
		*may = (!f->has_since || db_column_int(s->times, 1) >= f->since_wall_ns) &&
		       (!f->has_until || db_column_int(s->times, 0) < f->until_wall_ns);
		db_reset(s->times);
	}
	return rc;
}

/* The first or last number of a block; block 0 begins with record 1. */
static uint64_t
edge_of(uint64_t block, unsigned shift, bool is_down)
{
	uint64_t first = block << shift;

	if (!is_down)
		return first + (((uint64_t)1 << shift) - 1);
	return first == 0 ? 1 : first;
}

/* The same for times: `at` itself, or the nearest record of another block. */
static enum err
seek_time(struct index_scan *s, uint64_t at, bool is_down, uint64_t *seq, struct errinfo *ei)
{
	uint64_t edge = edge_of(at >> s->header.shift, s->header.shift, is_down);
	unsigned shift = s->header.shift < INDEX_BLOCK_SHIFT ? s->header.shift : INDEX_BLOCK_SHIFT;
	bool may = false;

	*seq = 0;
	enum err rc = is_in_time(s, INDEX_LEVEL_SEGMENT, at >> s->header.shift, &may, ei);
	if (rc != OK || !may)
		return rc;
	for (;;) {
		rc = is_in_time(s, INDEX_LEVEL_BLOCK, at >> INDEX_BLOCK_SHIFT, &may, ei);
		if (rc != OK || may)
			break;
		uint64_t end = edge_of(at >> shift, shift, is_down);
		if (end == edge)
			return OK;
		at = is_down ? end - 1 : end + 1;
	}
	*seq = rc == OK ? at : 0;
	return rc;
}

/* The first place from `at` on in at's segment where all agree; 0: none. */
static enum err
seek_all(struct index_scan *s, uint64_t at, bool is_down, uint64_t *seq, struct errinfo *ei)
{
	bool has_times = s->wanted_times->has_since || s->wanted_times->has_until;
	uint64_t before = 0;
	enum err rc = OK;

	*seq = at;
	do {
		before = *seq;
		if (has_times)
			rc = seek_time(s, before, is_down, seq, ei);
		for (size_t i = 0; rc == OK && *seq != 0 && i < s->n_terms; i++)
			rc = seek_term(s, &s->terms[i], *seq, is_down, seq, ei);
	} while (rc == OK && *seq != 0 && *seq != before);
	return rc;
}

enum err
index_scan_next(struct index_scan *s, uint64_t from, uint64_t to, uint64_t *seq, struct errinfo *ei)
{
	bool is_down = to < from;
	enum err rc = OK;

	OBJ_CHECK(s, SCAN_MAGIC);
	*seq = 0;
	for (uint64_t at = from; at != 0 && (is_down ? at >= to : at <= to);) {
		uint64_t edge = edge_of(at >> s->header.shift, s->header.shift, is_down);
		rc = seek_all(s, at, is_down, seq, ei);
		/* What an index says is believed no further than that the scan goes on. */
		if (rc == OK && *seq != 0 && (is_down ? *seq > at : *seq < at))
			rc = ERR(ei, ERR_CORRUPT, "the index is not in order");
		if (rc != OK || *seq != 0)
			break;
		at = is_down ? edge - 1 : edge + 1;
	}
	if (rc == OK && *seq != 0 && (is_down ? *seq < to : *seq > to))
		*seq = 0;
	return rc;
}
