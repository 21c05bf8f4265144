/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What Accept-Encoding and If-None-Match say, and that the page is small and whole. */
#include "ui_files.h"

#include "base/hash.h"
#include "support/test.h"

#define PAGE_BYTES_MAX (60 * 1024) /* of all files together */

TEST(gzip_is_sent_to_those_who_name_it)
{
	CHECK(ui_accepts_gzip(SPAN_LIT("gzip")));
	CHECK(ui_accepts_gzip(SPAN_LIT("deflate, GZIP;q=0.5, br")));
	CHECK(ui_accepts_gzip(SPAN_LIT("gzip ; q=1")));
	CHECK(!ui_accepts_gzip(SPAN_LIT("")));
	CHECK(!ui_accepts_gzip(SPAN_NONE));
	CHECK(!ui_accepts_gzip(SPAN_LIT("br, deflate")));
	CHECK(!ui_accepts_gzip(SPAN_LIT("gzip;q=0")));
	CHECK(!ui_accepts_gzip(SPAN_LIT("gzip; q=0.000, br")));
	CHECK(!ui_accepts_gzip(SPAN_LIT("xgzip, gzipx")));
	CHECK(!ui_accepts_gzip(SPAN_LIT(",,;,")));
}

TEST(tags_are_compared_weakly_and_whole)
{
	struct span tag = SPAN_LIT("\"abc\"");

	CHECK(ui_is_same_tag(SPAN_LIT("\"abc\""), tag));
	CHECK(ui_is_same_tag(SPAN_LIT("\"x\", W/\"abc\""), tag));
	CHECK(ui_is_same_tag(SPAN_LIT("*"), tag));
	CHECK(!ui_is_same_tag(SPAN_NONE, tag));
	CHECK(!ui_is_same_tag(SPAN_LIT("abc"), tag));
	CHECK(!ui_is_same_tag(SPAN_LIT("\"abcd\""), tag));
	CHECK(!ui_is_same_tag(SPAN_LIT("\"abc"), tag));
}

TEST(the_page_is_there_and_small)
{
	size_t n = 0;
	size_t bytes = 0;
	bool has_index = false;
	const struct embedded_file *files = ui_files_get(&n);

	for (size_t i = 0; i < n; i++) {
		char hash[SHA256_HEX + 1];
		hash_sha256_hex(files[i].plain, hash);
		CHECK_STR(files[i].sha256, hash);
		CHECK(span_starts(files[i].gzipped, SPAN_LIT("\x1f\x8b\x08")));
		has_index = has_index || strcmp(files[i].name, "index.html") == 0;
		bytes += files[i].plain.n;
	}
	CHECK(has_index);
	CHECK(bytes > 0 && bytes <= PAGE_BYTES_MAX);
}

SUITE("ui_files", TEST_ROW(gzip_is_sent_to_those_who_name_it),
	TEST_ROW(tags_are_compared_weakly_and_whole), TEST_ROW(the_page_is_there_and_small))
