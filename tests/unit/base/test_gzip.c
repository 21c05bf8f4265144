/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Packing, and reading what is packed, plain, several times packed, or cut. */
#include "base/gzip.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "support/test.h"

static const char *
write_text(struct span text)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/file", test_tmpdir());
	CHECK_INT(fdio_write_file(path, text, 0600, NULL), OK);
	return path;
}

/* In small pieces. */
static enum err
read_all(const char *path, struct buf *out)
{
	struct gzip_file *f = NULL;
	char piece[7];
	size_t n = 1;
	enum err rc = gzip_open(path, &f, NULL);

	buf_reset(out);
	while (rc == OK && n > 0) {
		rc = gzip_read(f, piece, sizeof(piece), &n, NULL);
		buf_add(out, piece, n);
	}
	gzip_close(&f);
	return rc;
}

static void
fill(struct buf *b, size_t n)
{
	for (size_t i = 0; b->n < n; i++)
		buf_printf(b, "{\"seq\":%zu}\n", i * 7919);
}

TEST(what_is_packed_is_read_again)
{
	static const size_t sizes[] = {0, 1, 100, 100000};
	struct buf text;
	struct buf packed;
	struct buf back;

	buf_init(&text, BUF_CAP_FILE);
	buf_init(&packed, BUF_CAP_FILE);
	buf_init(&back, BUF_CAP_FILE);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		buf_reset(&text);
		buf_reset(&packed);
		fill(&text, sizes[i]);
		CHECK_INT(gzip_pack(buf_span(&text), &packed, NULL), OK);
		CHECK(sizes[i] < 1000 || packed.n < text.n / 2);
		CHECK_INT(read_all(write_text(buf_span(&packed)), &back), OK);
		CHECK(span_eq(buf_span(&text), buf_span(&back)));
		/* Bodies one behind the other are members of one file. */
		size_t once = text.n;
		CHECK_INT(gzip_pack(buf_span(&text), &packed, NULL), OK);
		CHECK_INT(read_all(write_text(buf_span(&packed)), &back), OK);
		CHECK_INT(back.n, 2 * once);
		CHECK_INT(read_all(write_text(buf_span(&text)), &back), OK);
		CHECK(span_eq(buf_span(&text), buf_span(&back)));
	}
	buf_fini(&text);
	buf_fini(&packed);
	buf_fini(&back);
}

TEST(a_cut_or_damaged_file_is_no_end)
{
	struct buf text;
	struct buf packed;
	struct buf back;

	buf_init(&text, BUF_CAP_FILE);
	buf_init(&packed, BUF_CAP_FILE);
	buf_init(&back, BUF_CAP_FILE);
	fill(&text, 5000);
	CHECK_INT(gzip_pack(buf_span(&text), &packed, NULL), OK);
	CHECK_INT(read_all(write_text(span_of(packed.p, packed.n - 12)), &back), ERR_CORRUPT);
	packed.p[packed.n / 2] = (char)(packed.p[packed.n / 2] ^ 0x20);
	CHECK_INT(read_all(write_text(buf_span(&packed)), &back), ERR_CORRUPT);
	buf_fini(&text);
	buf_fini(&packed);
	buf_fini(&back);
}

/* Packing may be turned on or off while a receiver appends to one file; a crash may leave half a member. */
TEST(plain_and_packed_parts_follow_each_other)
{
	struct buf text;
	struct buf file;
	struct buf back;
	struct buf want;

	buf_init(&text, BUF_CAP_FILE);
	buf_init(&file, BUF_CAP_FILE);
	buf_init(&back, BUF_CAP_FILE);
	buf_init(&want, BUF_CAP_FILE);
	fill(&text, 90000);
	for (int i = 0; i < 5; i++) {
		if (i % 2 == 0)
			CHECK_INT(gzip_pack(buf_span(&text), &file, NULL), OK);
		else
			buf_add_span(&file, buf_span(&text));
		buf_add_span(&want, buf_span(&text));
		buf_add_cstr(&file, "\x1f\x8b\n"); /* the begin of a magic is text */
		buf_add_cstr(&want, "\x1f\x8b\n");
		CHECK_INT(read_all(write_text(buf_span(&file)), &back), OK);
		CHECK(span_eq(buf_span(&want), buf_span(&back)));
	}
	buf_fini(&text);
	buf_fini(&file);
	buf_fini(&back);
	buf_fini(&want);
}

TEST(what_follows_a_torn_part_is_read)
{
	struct buf text;
	struct buf file;
	struct buf back;
	struct gzip_file *f = NULL;
	char piece[512];
	size_t n = 1;
	size_t n_torn = 0;

	buf_init(&text, BUF_CAP_FILE);
	buf_init(&file, BUF_CAP_FILE);
	buf_init(&back, BUF_CAP_FILE);
	fill(&text, 90000);
	CHECK_INT(gzip_pack(buf_span(&text), &file, NULL), OK);
	buf_truncate(&file, file.n - 20);
	CHECK_INT(gzip_pack(SPAN_LIT("behind it\n"), &file, NULL), OK);
	buf_add_cstr(&file, "and plain\n");
	CHECK_INT(gzip_open(write_text(buf_span(&file)), &f, NULL), OK);
	while (n > 0 || n_torn == 0) {
		enum err rc = gzip_read(f, piece, sizeof(piece), &n, NULL);
		CHECK(rc == OK || (rc == ERR_CORRUPT && n == 0));
		n_torn += rc == ERR_CORRUPT;
		buf_add(&back, piece, n);
		if (rc == ERR_CORRUPT)
			n = 1;
	}
	gzip_close(&f);
	CHECK_INT(n_torn, 1);
	CHECK(span_ends(buf_span(&back), SPAN_LIT("behind it\nand plain\n")));
	buf_fini(&text);
	buf_fini(&file);
	buf_fini(&back);
}

TEST(what_does_not_fit_or_is_no_file)
{
	struct gzip_file *f = NULL;
	struct buf out;
	char text[4096];

	memset(text, 'x', sizeof(text));
	buf_init(&out, 100);
	buf_add_cstr(&out, "kept");
	CHECK_INT(gzip_pack(span_of(text, sizeof(text)), &out, NULL), ERR_TOO_LARGE);
	snprintf(text, sizeof(text), "%s/missing", test_tmpdir());
	CHECK_INT(gzip_open(text, &f, NULL), ERR_NOT_FOUND);
	CHECK_INT(gzip_open(test_tmpdir(), &f, NULL), ERR_INVALID);
	CHECK(f == NULL);
	buf_fini(&out);
}

SUITE("gzip", TEST_ROW(what_is_packed_is_read_again), TEST_ROW(a_cut_or_damaged_file_is_no_end),
	TEST_ROW(plain_and_packed_parts_follow_each_other),
	TEST_ROW(what_follows_a_torn_part_is_read), TEST_ROW(what_does_not_fit_or_is_no_file))
