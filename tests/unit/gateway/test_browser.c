/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Cookie lines and origins as browsers, and others, send them. */
#include "browser.h"

#include "support/test.h"

#define NAME SPAN_LIT("sid")

static void
check_cookie(const char *line, size_t n, const char *value)
{
	struct span found;

	if (!CHECK_INT(browser_find_cookie(span_cstr(line), NAME, &found), n) ||
		!CHECK_SPAN(found, value))
		FAIL("of the line %s", line);
}

TEST(cookies)
{
	check_cookie("", 0, "");
	check_cookie("sid=a", 1, "a");
	check_cookie("other=1; sid=a; more=2", 1, "a");
	check_cookie("other=1;sid=a", 1, "a");
	check_cookie("sid=a; sid=b", 2, "b");
	check_cookie("sid=", 1, "");
	check_cookie("sid", 0, "");
	check_cookie("xsid=a; sidx=b; SID=c", 0, "");
	check_cookie("sid=a=b", 1, "a=b");
	check_cookie("sid=\"a\"", 1, "\"a\"");
	check_cookie(";;; ;sid=a;;", 1, "a");
	check_cookie("x=sid=a", 0, "");
}

TEST(origins)
{
	struct span host = SPAN_LIT("nomos.example:8080");

	CHECK(browser_is_origin_of(SPAN_LIT("http://nomos.example:8080"), host));
	CHECK(browser_is_origin_of(SPAN_LIT("https://NOMOS.example:8080"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("http://nomos.example"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("http://nomos.example:8080.evil.example"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("http://evil.example"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("ftp://nomos.example:8080"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("nomos.example:8080"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("null"), host));
	CHECK(!browser_is_origin_of(SPAN_LIT("http://"), SPAN_NONE));
	CHECK(!browser_is_origin_of(SPAN_NONE, SPAN_NONE));
}

SUITE("browser", TEST_ROW(cookies), TEST_ROW(origins))
