/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The segment {id}: what it matches, and that nothing hostile comes out of its decoding. */
#include "route_match.h"

#include "support/test.h"

static bool
matches(const char *route, const char *path, const char *id)
{
	struct span raw;
	bool is_match = route_match(span_cstr(route), span_cstr(path), &raw);

	CHECK_SPAN(raw, id);
	return is_match;
}

TEST(a_path_without_an_id_is_compared_as_it_is)
{
	CHECK(matches("/healthz", "/healthz", ""));
	CHECK(!matches("/healthz", "/healthz/", ""));
	CHECK(!matches("/healthz", "/health%7a", ""));
	CHECK(!route_has_id(SPAN_LIT("/healthz")));
	CHECK(route_has_id(SPAN_LIT("/a/{id}/b")));
	CHECK(!route_has_id(SPAN_LIT("/a/{other}/b")));
}

TEST(an_id_is_one_segment_and_not_empty)
{
	CHECK(matches("/a/{id}", "/a/x", "x"));
	CHECK(matches("/a/{id}", "/a/%2e%2E", "%2e%2E"));
	CHECK(matches("/a/{id}/b", "/a/x/b", "x"));
	CHECK(!matches("/a/{id}", "/a/", ""));
	CHECK(!matches("/a/{id}", "/a", ""));
	CHECK(!matches("/a/{id}", "/a/x/", ""));
	CHECK(!matches("/a/{id}", "/a/x/y", ""));
	CHECK(!matches("/a/{id}/b", "/a//b", ""));
	CHECK(!matches("/a/{id}/b", "/a/b", ""));
	CHECK(!matches("/a/{id}/b", "/a/x/c/b", ""));
	CHECK(!matches("/a/{id}/b", "/a/x/bb", ""));
}

static bool
decodes(struct span raw, struct span expected)
{
	char bytes[ROUTE_ID_BYTES_MAX];
	struct span id = SPAN_LIT("stale");
	bool is_sound = route_decode_id(raw, bytes, &id);

	CHECK(span_eq(id, expected));
	return is_sound;
}

TEST(an_id_is_decoded_once)
{
	CHECK(decodes(SPAN_LIT("act-1"), SPAN_LIT("act-1")));
	CHECK(decodes(SPAN_LIT("a%20b"), SPAN_LIT("a b")));
	CHECK(decodes(SPAN_LIT("%c3%A4"), SPAN_LIT("\xc3\xa4")));
	CHECK(decodes(SPAN_LIT("%3cscript%3E"), SPAN_LIT("<script>")));
	CHECK(decodes(SPAN_LIT("a+b"), SPAN_LIT("a+b")));
}

TEST(hostile_ids_are_refused)
{
	static const char *const hostile[] = {"", "%", "%4", "a%", "%zz", "%0g", "%00", "a%0ab",
		"%7f", "..", ".", "%2e%2e", "%2e", "..%2f", "%5c", "\\", "%252e", "%c0%af", "%ff",
		"%ed%a0%80", "a%2fb"};

	for (size_t i = 0; i < ARRAY_LEN(hostile); i++)
		if (decodes(span_cstr(hostile[i]), SPAN_NONE))
			FAIL("%s is taken for an id", hostile[i]);
}

TEST(the_longest_id_and_one_more)
{
	char raw[3 * ROUTE_ID_BYTES_MAX + 3];
	char text[ROUTE_ID_BYTES_MAX];

	for (size_t i = 0; i <= ROUTE_ID_BYTES_MAX; i++)
		memcpy(raw + 3 * i, "%41", 3);
	memset(text, 'A', sizeof(text));
	CHECK(decodes(span_of(raw, 3 * ROUTE_ID_BYTES_MAX), span_of(text, sizeof(text))));
	CHECK(!decodes(span_of(raw, sizeof(raw)), SPAN_NONE));
}

SUITE("route_match", TEST_ROW(a_path_without_an_id_is_compared_as_it_is),
	TEST_ROW(an_id_is_one_segment_and_not_empty), TEST_ROW(an_id_is_decoded_once),
	TEST_ROW(hostile_ids_are_refused), TEST_ROW(the_longest_id_and_one_more))
