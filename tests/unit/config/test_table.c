/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* config_verify finds each fault a table can have, and finds none in the sample; words and look-ups
 * at their edges. */
#include <stdio.h>

#include "base/buf.h"
#include "config/print.h"
#include "sample.h"
#include "support/test.h"

struct probe {
	int64_t number;
	struct span text;
	struct config_map map;
};

static void
expect_fault(const struct config_row *rows, size_t n, const char *want)
{
	struct config_object o = {.name = "probe",
		.prose = "x",
		.rows = rows,
		.n_rows = n,
		.size = sizeof(struct probe)};
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	config_verify(&o, &b);
	if (b.p == NULL || strstr(b.p, want) == NULL)
		FAIL("wanted %s, got %.*s", want, SPAN_ARG(buf_span(&b)));
	buf_fini(&b);
}

#define NUMBER .name = "n", .type = CONFIG_TYPE_INT, .offset = offsetof(struct probe, number)
#define TEXT .name = "t", .type = CONFIG_TYPE_STRING, .offset = offsetof(struct probe, text)
#define MAP .name = "m", .type = CONFIG_TYPE_MAP, .offset = offsetof(struct probe, map)

TEST(faults_of_single_rows_are_found)
{
	static const struct {
		struct config_row row;
		const char *want;
	} rows[] = {
		{{NUMBER, .min = 1, .max = 9, .def = "0", .prose = "x"}, "n: 0 is outside 1..9"},
		{{NUMBER, .min = 1, .max = 9, .prose = "x"}, "n: 0 is outside 1..9"},
		{{NUMBER, .def = "1", .prose = "x"}, "n: needs min below max"},
		{{NUMBER, .min = 0, .max = 9}, "n: has no prose"},
		{{TEXT, .prose = "x", .unbuilt = CONFIG_UNBUILT_WARN}, "t: needs a reason"},
		{{TEXT, .prose = "x", .flags = CONFIG_DEPRECATED}, "t: needs a reason"},
		{{TEXT, .prose = "x", .clears = "gone"}, "t: clears gone, which is no sibling"},
		{{TEXT, .prose = "x", .def = "abc", .max = 2}, "3 bytes is over the limit of 2"},
		{{MAP, .prose = "x", .env = CONFIG_ENV},
			"m: a map needs env and env_with together"},
		{{MAP, .prose = "x", .env = CONFIG_ENV, .env_with = "t"},
			"m: env_with t is no earlier"},
		{{MAP, .prose = "x", .def = "a"}, "m: this type has no default"},
		{{.name = "e", .type = CONFIG_TYPE_ENUM, .prose = "x"}, "e: needs words"},
		{{.name = "l", .type = CONFIG_TYPE_LATER, .prose = "x"}, "l: needs a level"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_fault(&rows[i].row, 1, rows[i].want);
}

TEST(list_elements_without_a_value_are_found)
{
	static const struct config_row later = {.name = "l",
		.type = CONFIG_TYPE_LATER,
		.unbuilt = CONFIG_UNBUILT_WARN,
		.reason = "x",
		.prose = "x"};
	static const struct config_object element = {.name = "element",
		.prose = "x",
		.rows = &later,
		.n_rows = 1,
		.size = sizeof(struct probe)};
	static const struct config_row list = {
		.name = "v", .type = CONFIG_TYPE_LIST, .object = &element, .prose = "x"};

	expect_fault(&list, 1, "v: an element would have nothing to print");
}

TEST(names_used_twice_are_found)
{
	static const struct config_row twice[] = {
		{TEXT, .prose = "x", .env = "NOMOS_X"}, {TEXT, .prose = "x", .env = "NOMOS_X"}};

	expect_fault(twice, 2, "t: stands twice in its table");
	expect_fault(twice, 2, "t: environment name NOMOS_X is used twice");
}

TEST(sample_is_sound)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	config_verify(&sample_config, &b);
	CHECK_SPAN(buf_span(&b), "");
	buf_fini(&b);
}

TEST(words_are_found_whole)
{
	CHECK_INT(config_word_index("a|bb|c", SPAN_LIT("bb")), 1);
	CHECK_INT(config_word_index("a|bb|c", SPAN_LIT("b")), -1);
	CHECK_INT(config_word_index("a|bb|c", SPAN_LIT("")), -1);
	CHECK_INT(config_word_index("|a", SPAN_LIT("")), 0);
	CHECK_INT(config_word_index("|a", SPAN_LIT("a")), 1);
	CHECK_INT(config_word_index("a|bb", SPAN_LIT("a|bb")), -1);
	CHECK_SPAN(config_word("a|bb|c", 2), "c");
	CHECK(config_word("a|bb|c", 3).p == NULL);
	CHECK(config_word("a", -1).p == NULL);
}

TEST(maps_are_searched_by_bytes)
{
	static const struct span agents[] = {{"x", 1}, {"y", 1}};
	static const struct config_entry entries[] = {
		{{"a", 1}, {agents, 2}}, {{"b", 1}, {agents, 1}}, {{"c", 1}, {NULL, 0}}};
	static const struct config_map_strings m = {entries, 3};
	static const struct config_map_strings none = {NULL, 0};

	CHECK_INT(config_map_strings_find(&m, SPAN_LIT("a")).n, 2);
	CHECK_INT(config_map_strings_find(&m, SPAN_LIT("b")).n, 1);
	CHECK_INT(config_map_strings_find(&m, SPAN_LIT("c")).n, 0);
	CHECK_INT(config_map_strings_find(&m, SPAN_LIT("d")).n, 0);
	CHECK_INT(config_map_strings_find(&none, SPAN_LIT("a")).n, 0);
	CHECK(config_strings_has(&entries[0].values, SPAN_LIT("y")));
	CHECK(!config_strings_has(&entries[1].values, SPAN_LIT("y")));
}

SUITE("config table", TEST_ROW(faults_of_single_rows_are_found),
	TEST_ROW(list_elements_without_a_value_are_found), TEST_ROW(names_used_twice_are_found),
	TEST_ROW(sample_is_sound), TEST_ROW(words_are_found_whole),
	TEST_ROW(maps_are_searched_by_bytes))
