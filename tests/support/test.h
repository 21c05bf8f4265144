/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * CUnit in three lines:
 *
 *     TEST(parses_empty_object) { CHECK(...); }
 *     SUITE("json", parses_empty_object, ...)      <- a table of names and a main()
 *
 * A test program runs all its tests, or only those named on its command line, and exits 1 when one failed.
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct test_case {
	const char *name;
	void (*fn)(void);
};

#define TEST(name) static void name(void)
#define TEST_ROW(fn)                                                                               \
	{                                                                                          \
#fn, fn                                                                            \
	}
#define SUITE(name, ...)                                                                           \
	static const struct test_case test_cases[] = {__VA_ARGS__};                                \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return test_run(name, test_cases, ARRAY_LEN(test_cases), argc, argv);              \
	}

int test_run(const char *suite, const struct test_case *cases, size_t n, int argc, char **argv);

/* Checks go on after a failure and print what differed. */
#define CHECK(x) test_check((x), #x, __FILE__, __LINE__)
#define CHECK_INT(got, want)                                                                       \
	test_check_int((int64_t)(got), (int64_t)(want), #got, __FILE__, __LINE__)
#define CHECK_STR(got, want) test_check_str((got), (want), #got, __FILE__, __LINE__)
#define CHECK_SPAN(got, want) test_check_span((got), span_cstr(want), #got, __FILE__, __LINE__)
/* Fails the test with a text, e.g. naming the row of a corpus. */
#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)

bool test_check(bool ok, const char *what, const char *file, int line);
bool test_check_int(int64_t got, int64_t want, const char *what, const char *file, int line);
bool test_check_str(
	const char *got, const char *want, const char *what, const char *file, int line);
bool test_check_span(
	struct span got, struct span want, const char *what, const char *file, int line);
void test_fail(const char *file, int line, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A fresh private directory, removed with all it holds when the program ends. NUL-terminated, static per call count. */
const char *test_tmpdir(void);
/* The same in memory where there is such a place: for tests that sync a thousand times. */
const char *test_ramdir(void);
/* The folder tests/ of the source tree. */
const char *test_source_dir(void);

#endif
