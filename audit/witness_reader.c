/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the objects in what a receiver kept. A record holds no newline: an object that meets one is none of ours, and reading
 * goes on behind it. Blocking; the command line's thread.
 */
#define _GNU_SOURCE /* strverscmp */
#include "witness_reader.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/gzip.h"
#include "base/hash.h"
#include "base/mem.h"

#define PIECE_BYTES ((size_t)64 * 1024)
/* More than any line has. */
#define OBJECT_BYTES_MAX ((size_t)4 * BUF_CAP_RECORD)
#define FILES_MAX ((size_t)1000000)

struct splitter {
	witness_visit_fn visit;
	void *arg;
	struct buf object;
	struct buf body;
	unsigned depth;
	bool is_in_string;
	bool is_escaped;
	bool skips_line; /* other text, up to its end */
	bool is_ended;   /* visit has had enough */
};

static void
give_object(struct splitter *s)
{
	struct witness_record r;
	uint8_t id[CHAIN_ID_HEX / 2];

	buf_reset(&s->body);
	if (buf_failed(&s->object) || !chain_parse_line(buf_span(&s->object), &s->body, &r.hash) ||
		r.hash.n != SHA256_HEX)
		return;
	r.body = buf_span(&s->body);
	if (!chain_read_fields(r.body, &r.f) || !hash_unhex(r.f.chain_id, id, sizeof(id)) ||
		r.f.seq == 0)
		return;
	s->is_ended = !s->visit(&r, s->arg);
}

static void
begin_anew(struct splitter *s)
{
	buf_reset(&s->object);
	s->depth = 0;
	s->is_in_string = false;
	s->is_escaped = false;
}

static void
take_inside(struct splitter *s, char c)
{
	buf_add_char(&s->object, c);
	if (s->is_in_string) {
		s->is_in_string = s->is_escaped || c != '"';
		s->is_escaped = !s->is_escaped && c == '\\';
		return;
	}
	if (c == '"')
		s->is_in_string = true;
	else if (c == '{')
		s->depth++;
	else if (c == '}' && --s->depth == 0) {
		give_object(s);
		begin_anew(s);
	}
}

static void
begin_line(struct splitter *s)
{
	begin_anew(s);
	s->skips_line = false;
}

static void
take_byte(struct splitter *s, char c)
{
	if (c == '\n') {
		begin_line(s);
	} else if (s->depth > 0) {
		take_inside(s, c);
	} else if (c == '{' && !s->skips_line) {
		buf_add_char(&s->object, c);
		s->depth = 1;
	} else if (c != ' ' && c != '\t' && c != '\r') {
		s->skips_line = true;
	}
}

static enum err
read_file(struct splitter *s, const char *path, bool *is_cut, struct errinfo *ei)
{
	struct gzip_file *f = NULL;
	char piece[PIECE_BYTES];
	size_t n = 1;
	enum err rc = gzip_open(path, &f, ei);

	while (rc == OK && n > 0 && !s->is_ended) {
		rc = gzip_read(f, piece, sizeof(piece), &n, ei);
		for (size_t i = 0; rc == OK && i < n && !s->is_ended; i++)
			take_byte(s, piece[i]);
		if (rc != ERR_CORRUPT)
			continue;
		/* A packed part that is not whole ends there, as a plain one does. */
		*is_cut = true;
		begin_line(s);
		n = 1;
		rc = OK;
	}
	gzip_close(&f);
	*is_cut = *is_cut || s->depth > 0;
	begin_line(s);
	return rc;
}

/* ---- folders ---- */

struct names {
	char **v;
	size_t n;
	size_t size;
};

static int
by_version(const void *a, const void *b)
{
	return strverscmp(*(char *const *)a, *(char *const *)b);
}

static bool
keep_name(struct names *names, const char *folder, const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/%s", folder, name);

	if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	if (names->n == names->size) {
		size_t size = names->size == 0 ? 64 : names->size * 2;
		char **grown = mem_realloc(names->v, size * sizeof(*grown));
		if (grown == NULL)
			return false;
		names->v = grown;
		names->size = size;
	}
	names->v[names->n] = mem_dup_cstr(path);
	return names->v[names->n++] != NULL;
}

static enum err
list_folder(const char *folder, struct names *names, struct errinfo *ei)
{
	DIR *d = opendir(folder);
	enum err rc = OK;

	if (d == NULL)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", folder);
	for (struct dirent *e = readdir(d); rc == OK && e != NULL; e = readdir(d)) {
		if (e->d_name[0] == '.')
			continue;
		if (names->n == FILES_MAX)
			rc = ERR(ei, ERR_TOO_LARGE, "%s holds more than %zu files", folder,
				FILES_MAX);
		else if (!keep_name(names, folder, e->d_name))
			rc = ERR(ei, ERR_NOMEM, "out of memory");
	}
	(void)closedir(d);
	if (rc == OK && names->n > 0)
		qsort(names->v, names->n, sizeof(*names->v), by_version);
	return rc;
}

enum err
witness_read(const char *path, witness_visit_fn visit, void *arg, bool *is_cut, struct errinfo *ei)
{
	struct splitter s = {.visit = visit, .arg = arg};
	struct names names = {.n = 0};
	struct stat st;
	enum err rc = OK;

	*is_cut = false;
	if (stat(path, &st) != 0)
		return ERR_ERRNO(ei, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
	buf_init(&s.object, OBJECT_BYTES_MAX);
	buf_init(&s.body, OBJECT_BYTES_MAX);
	if (!S_ISDIR(st.st_mode))
		rc = read_file(&s, path, is_cut, ei);
	else
		rc = list_folder(path, &names, ei);
	for (size_t i = 0; rc == OK && i < names.n && !s.is_ended; i++)
		rc = read_file(&s, names.v[i], is_cut, ei);
	for (size_t i = 0; i < names.n; i++)
		mem_free(names.v[i]);
	mem_free(names.v);
	buf_fini(&s.object);
	buf_fini(&s.body);
	return rc;
}
