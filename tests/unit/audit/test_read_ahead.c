/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Listening to a file of SQLite's: it answers as before, and gets its own methods back. */
#include <sqlite3.h>

#include "read_ahead.h"
#include "support/test.h"

static char mapping[3 * 4096];

/* The first page is mapped, the second is not, the third cannot be read. */
static int
fetch_fake(sqlite3_file *f, sqlite3_int64 at, int n, void **out)
{
	(void)f;
	(void)n;
	*out = at == 0 ? mapping : NULL;
	return at < 8192 ? SQLITE_OK : SQLITE_IOERR_MMAP;
}

static int
close_fake(sqlite3_file *f)
{
	f->pMethods = NULL;
	return SQLITE_OK;
}

TEST(a_file_answers_as_before)
{
	const sqlite3_io_methods real = {.iVersion = 3, .xClose = close_fake, .xFetch = fetch_fake};
	sqlite3_file f = {.pMethods = &real};
	void *page = NULL;

	struct read_ahead *r = read_ahead_new(&f);
	if (r == NULL) {
		FAIL("no read_ahead");
		return;
	}
	CHECK(f.pMethods != &real && f.pMethods->xClose == close_fake);
	CHECK_INT(f.pMethods->xFetch(&f, 0, 4096, &page), SQLITE_OK);
	CHECK(page == mapping);
	/* More rows than the page has room for. */
	for (size_t i = 0; i < 10; i++)
		read_ahead_step(r, 1000);
	CHECK_INT(f.pMethods->xFetch(&f, 4096, 4096, &page), SQLITE_OK);
	CHECK(page == NULL);
	read_ahead_step(r, 1000);
	CHECK_INT(f.pMethods->xFetch(&f, 8192, 4096, &page), SQLITE_IOERR_MMAP);
	read_ahead_free(&r);
	CHECK(r == NULL && f.pMethods == &real);
}

TEST(files_that_cannot_be_mapped_are_left_alone)
{
	const sqlite3_io_methods old = {.iVersion = 2, .xClose = close_fake};
	sqlite3_file f = {.pMethods = &old};
	sqlite3_file closed = {.pMethods = NULL};
	struct read_ahead *none = NULL;

	CHECK(read_ahead_new(&f) == NULL && f.pMethods == &old);
	CHECK(read_ahead_new(&closed) == NULL);
	CHECK(read_ahead_new(NULL) == NULL);
	read_ahead_step(none, 1000);
	read_ahead_free(&none);
}

SUITE("read_ahead", TEST_ROW(a_file_answers_as_before),
	TEST_ROW(files_that_cannot_be_mapped_are_left_alone))
