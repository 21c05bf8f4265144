/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Sources of a ring without an issuer: who shares one, how many there are, that nobody waits. What is fetched: tests/e2e/test_oidc.py. */
#include "pipeline/key_ring.h"

#include "base/clock.h"
#include "base/jose.h"
#include "base/must.h"
#include "support/test.h"

#define SOURCES_MAX 8

TEST(urls_that_nobody_can_change_on_the_way)
{
	static const char *const good[] = {"https://id.example", "https://id.example:8443/realm",
		"http://127.0.0.1", "http://127.0.0.1:8080/realm", "http://localhost/x",
		"http://[::1]:1/x", "https://127.0.0.1.example/"};
	static const char *const bad[] = {"", "http://id.example", "http://127.0.0.1.example/",
		"http://localhost.example", "http://127.0.0.1@id.example/", "http://127.0.0.10/",
		"HTTP://127.0.0.1/", "HTTPS://id.example", "ftp://127.0.0.1/", "id.example",
		"https://user@id.example/", "https://", "file:///etc/passwd",
		"http://[::1].example/"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!key_source_is_safe_url(span_cstr(good[i])))
			FAIL("refused: %s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (key_source_is_safe_url(span_cstr(bad[i])))
			FAIL("taken: %s", bad[i]);
}

/* Nobody listens on port 1. */
static struct key_source_options
options_of(int64_t refresh_s)
{
	return (struct key_source_options){
		.issuer = SPAN_LIT("http://127.0.0.1:1/realm"),
		.refresh_ns = refresh_s * NS_PER_SEC,
		.floor_ns = 3600 * NS_PER_SEC,
		.max_stale_ns = 3600 * NS_PER_SEC,
	};
}

TEST(the_same_options_share_a_source)
{
	struct key_source_options options = options_of(60);
	struct key_source *first = NULL;
	struct key_source *second = NULL;
	struct key_source *other = NULL;
	struct key_ring *ring = NULL;

	MUST(key_ring_new(&ring, NULL) == OK);
	CHECK_INT(key_ring_open(ring, &options, &first, NULL), OK);
	CHECK_INT(key_ring_open(ring, &options, &second, NULL), OK);
	CHECK(first == second);
	options.refresh_ns++;
	CHECK_INT(key_ring_open(ring, &options, &other, NULL), OK);
	CHECK(first != other);
	/* One that is still used stays, with what it knows. */
	key_source_release(&first);
	options.refresh_ns--;
	CHECK_INT(key_ring_open(ring, &options, &first, NULL), OK);
	CHECK(first == second);
	key_source_release(&first);
	key_source_release(&second);
	key_source_release(&other);
	key_source_release(&other);
	key_ring_free(&ring);
}

TEST(sources_are_bounded_and_come_back)
{
	struct key_source *sources[SOURCES_MAX] = {NULL};
	struct key_source *more = NULL;
	struct key_ring *ring = NULL;
	struct key_source_options options = options_of(1000);

	MUST(key_ring_new(&ring, NULL) == OK);
	for (int i = 0; i < SOURCES_MAX; i++) {
		struct key_source_options o = options_of(i + 1);
		CHECK_INT(key_ring_open(ring, &o, &sources[i], NULL), OK);
	}
	CHECK_INT(key_ring_open(ring, &options, &more, NULL), ERR_OVERLOAD);
	CHECK(more == NULL);
	key_source_release(&sources[3]);
	/* Its place is free once the thread has done with it. */
	for (int i = 0; i < 1000000 && more == NULL; i++)
		if (key_ring_open(ring, &options, &more, NULL) != OK)
			CHECK(more == NULL);
	CHECK(more != NULL);
	key_source_release(&more);
	for (int i = 0; i < SOURCES_MAX; i++)
		key_source_release(&sources[i]);
	key_ring_free(&ring);
}

TEST(without_keys_nothing_is_there)
{
	struct key_source_options options = options_of(60);
	struct key_source_state state;
	struct key_source *s = NULL;
	struct key_ring *ring = NULL;
	struct jose_keys *keys = NULL;
	struct errinfo ei;

	MUST(key_ring_new(&ring, NULL) == OK);
	CHECK_INT(key_ring_open(ring, &options, &s, NULL), OK);
	CHECK(key_source_get(s) == NULL);
	CHECK_INT(key_source_get_generation(s), 0);
	key_source_ask(s);
	key_source_ask(s);
	key_source_get_state(s, &state);
	CHECK(!state.is_usable && state.n_keys == 0 && state.age_ns == -1);
	key_source_release(&s);
	key_ring_free(&ring);
	CHECK(key_source_try(&options, &keys, &ei) != OK);
	CHECK(keys == NULL);
}

SUITE("key_ring", TEST_ROW(urls_that_nobody_can_change_on_the_way),
	TEST_ROW(the_same_options_share_a_source), TEST_ROW(sources_are_bounded_and_come_back),
	TEST_ROW(without_keys_nothing_is_there))
