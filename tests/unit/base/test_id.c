/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Identifiers: the rules of action ids and action types, and the ids we make. */
#include "base/id.h"

#include <pthread.h>
#include <string.h>

#include "base/map.h"
#include "support/test.h"

TEST(valid_ids)
{
	static const char *const good[] = {"a", "A", "0", "a1", "req_1", "a.b:c-d_e", "9-", "Z::"};
	static const char *const bad[] = {
		"", "-a", ".a", "_a", ":a", "a b", "a/b", "a\n", " a", "a\xc3\xa4", "a%", "a@b"};
	char text[130];

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!id_is_valid(span_cstr(good[i])))
			FAIL("\"%s\" was refused", good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (id_is_valid(span_cstr(bad[i])))
			FAIL("\"%s\" was taken", bad[i]);
	}
	memset(text, 'a', sizeof(text));
	CHECK(id_is_valid(span_of(text, 128)));
	CHECK(!id_is_valid(span_of(text, 129)));
	CHECK(!id_is_valid(span_of("a\0", 2)));
	CHECK(!id_is_valid(SPAN_NONE));
}

TEST(action_types)
{
	static const char *const good[] = {"fs.read", "a.b", "a.b.c", "net.http_request", "a1.b2_"};
	static const char *const bad[] = {"", "fs", "fs.", ".read", "fs..read", "Fs.read",
		"fs.Read", "fs.1", "1.fs", "_a.b", "a._b", "fs.read ", "fs-x.read", "a.b\n",
		"fs.re\xc3\xa4"};

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!id_is_action_type(span_cstr(good[i])))
			FAIL("\"%s\" was refused", good[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (id_is_action_type(span_cstr(bad[i])))
			FAIL("\"%s\" was taken", bad[i]);
	}
	CHECK(!id_is_action_type(span_of("a.b\0", 4)));
}

TEST(request_ids_have_their_form)
{
	char id[ID_MAX];

	id_request(id);
	CHECK_INT(strlen(id), 28);
	CHECK(strncmp(id, "req_", 4) == 0);
	CHECK_INT(strspn(id + 4, "0123456789abcdef"), 24);
	CHECK(id_is_valid(span_cstr(id)));
}

#define N_THREADS 4
#define N_IDS 2000

static char ids[N_THREADS][N_IDS][ID_MAX];

static void *
make_ids(void *arg)
{
	char(*own)[ID_MAX] = arg;

	for (int i = 0; i < N_IDS; i++)
		id_request(own[i]);
	return NULL;
}

TEST(request_ids_are_unique_over_threads)
{
	pthread_t threads[N_THREADS];
	struct map *seen = map_new((size_t)N_THREADS * N_IDS);

	for (int t = 0; t < N_THREADS; t++)
		CHECK_INT(pthread_create(&threads[t], NULL, make_ids, ids[t]), 0);
	for (int t = 0; t < N_THREADS; t++)
		CHECK_INT(pthread_join(threads[t], NULL), 0);
	for (int t = 0; t < N_THREADS; t++) {
		for (int i = 0; i < N_IDS; i++)
			CHECK(map_put(seen, span_cstr(ids[t][i]), ids, NULL));
	}
	CHECK_INT(map_count(seen), N_THREADS * N_IDS);
	map_free(&seen, NULL);
}

SUITE("id", TEST_ROW(valid_ids), TEST_ROW(action_types), TEST_ROW(request_ids_have_their_form),
	TEST_ROW(request_ids_are_unique_over_threads))
