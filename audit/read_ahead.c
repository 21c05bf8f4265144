/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The file keeps its methods but one: where SQLite asks for a page of the mapping, the answer is seen. A wrong
 * guess is an address that is asked of the processor and not of the program, so it may be one that nobody has.
 */
#include "read_ahead.h"

#include <stdint.h>

#include <sqlite3.h>

#include "base/mem.h"
#include "base/must.h"

#define READ_AHEAD_MAGIC 0x5f11e003u
#define LINE_BYTES 64 /* of the cache of most processors */
/* What a row has beside its body: a hash, its numbers, its place in the page. */
#define ROW_BYTES 64
#define METHODS_VERSION                                                                            \
	3 /* the first with xFetch; a newer one has members that are not known here */

struct read_ahead {
	struct sqlite3_io_methods methods; /* first: the file points here */
	unsigned magic;
	struct sqlite3_file *file;
	const struct sqlite3_io_methods *real;
	uintptr_t
		at; /* of the page behind the one that was asked for last, what is still to be asked for */
	uintptr_t end;
};

static int
fetch(sqlite3_file *f, sqlite3_int64 at, int n, void **out)
{
	struct read_ahead *r = (struct read_ahead *)(uintptr_t)f->pMethods;

	OBJ_CHECK(r, READ_AHEAD_MAGIC);
	int rc = r->real->xFetch(f, at, n, out);
	if (rc == SQLITE_OK && *out != NULL && n > 0) {
		r->at = (uintptr_t)*out + (uintptr_t)n;
		r->end = r->at + (uintptr_t)n;
	}
	return rc;
}

struct read_ahead *
read_ahead_new(struct sqlite3_file *f)
{
	if (f == NULL || f->pMethods == NULL || f->pMethods->iVersion < METHODS_VERSION)
		return NULL;
	struct read_ahead *r = mem_zalloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->magic = READ_AHEAD_MAGIC;
	r->file = f;
	r->real = f->pMethods;
	r->methods = *f->pMethods;
	r->methods.iVersion = METHODS_VERSION;
	r->methods.xFetch = fetch;
	f->pMethods = &r->methods;
	return r;
}

void
read_ahead_free(struct read_ahead **r)
{
	if (*r == NULL)
		return;
	OBJ_CHECK(*r, READ_AHEAD_MAGIC);
	(*r)->file->pMethods = (*r)->real;
	(*r)->magic = 0;
	mem_free(*r);
	*r = NULL;
}

void
read_ahead_step(struct read_ahead *r, size_t n_bytes)
{
	if (r == NULL)
		return;
	size_t n = (n_bytes + ROW_BYTES) / LINE_BYTES + 1;
	for (; n > 0 && r->at < r->end; n--) {
		__builtin_prefetch((const void *)r->at, 0, 2);
		r->at += LINE_BYTES;
	}
}
