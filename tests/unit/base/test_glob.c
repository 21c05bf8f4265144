/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wildcards against their truth tables, against a tiny matcher that tries everything, and on
 * hostile inputs.
 */
#include "base/glob.h"

#include "base/arena.h"
#include "support/cases.h"
#include "support/glob_model.h"
#include "support/test.h"

enum { TOKENS_MAX = 16 };

static struct arena *arena;

static void
check_row(const struct cases_row *row, bool got)
{
	bool want = span_eq_cstr(row->field[2], "yes");

	if (!want && !span_eq_cstr(row->field[2], "no"))
		FAIL("%s:%d: neither yes nor no", row->file, row->line);
	if (got != want)
		FAIL("%s:%d: %s", row->file, row->line, got ? "yes" : "no");
}

static bool
match_resource(struct span pattern, struct span value)
{
	struct glob *g = glob_new(arena, pattern);

	if (g == NULL) {
		FAIL("no memory");
		return false;
	}
	bool got = glob_match(g, value);
	if (got && glob_is_literal(g))
		CHECK(span_eq(pattern, value));
	struct span prefix = glob_get_literal_prefix(g);
	if (got && span_ends(prefix, SPAN_LIT("/")) && prefix.n == value.n + 1)
		prefix.n--;
	if (got)
		CHECK(span_starts(value, prefix));
	return got;
}

static void
check_resource(const struct cases_row *row, void *arg)
{
	(void)arg;
	check_row(row, match_resource(row->field[0], row->field[1]));
	check_row(row, model_resource(row->field[0], row->field[1]));
}

TEST(resources)
{
	CHECK(cases_each("glob/resource.cases", check_resource, NULL) > 100);
}

static void
check_token(const struct cases_row *row, void *arg)
{
	(void)arg;
	check_row(row, glob_token_match(row->field[0], row->field[1]));
	check_row(row, model_token(row->field[0], row->field[1], true));
}

TEST(tokens)
{
	CHECK(cases_each("glob/token.cases", check_token, NULL) > 40);
}

/* Words of text, none for "-". */
static size_t
words(struct span text, struct span out[TOKENS_MAX])
{
	size_t n = 0;

	if (span_eq_cstr(text, "-"))
		return 0;
	for (;;) {
		size_t end = span_find(text, ' ');
		out[n++] = span_of(text.p, end);
		if (end == text.n || n == TOKENS_MAX)
			return n;
		text = span_from(text, end + 1);
	}
}

static void
check_argv(const struct cases_row *row, void *arg)
{
	struct span pattern[TOKENS_MAX];
	struct span argv[TOKENS_MAX];
	size_t n_pattern = words(row->field[0], pattern);
	size_t n = words(row->field[1], argv);
	struct glob_argv *g = glob_argv_new(arena, pattern, n_pattern);

	(void)arg;
	if (g == NULL) {
		FAIL("no memory");
		return;
	}
	check_row(row, glob_argv_match(g, argv, n));
	check_row(row, model_argv(pattern, n_pattern, argv, n));
}

TEST(argv)
{
	CHECK(cases_each("glob/argv.cases", check_argv, NULL) > 25);
}

static unsigned long n_compared;

/*
 * All texts of `length` letters of the alphabet, one after the other: text is the number `which` in
 * its base.
 */
static struct span
spell(char *text, const char *alphabet, size_t length, unsigned which)
{
	unsigned base = (unsigned)strlen(alphabet);

	for (size_t i = 0; i < length; i++) {
		text[i] = alphabet[which % base];
		which /= base;
	}
	return span_of(text, length);
}

static unsigned
power(unsigned base, size_t n)
{
	unsigned v = 1;

	while (n-- > 0)
		v *= base;
	return v;
}

static void
compare_all(const char *letters, size_t n_pattern, const char *values, size_t n_value)
{
	char pattern_text[8];
	char value_text[8];

	for (unsigned p = 0; p < power((unsigned)strlen(letters), n_pattern); p++) {
		struct span pattern = spell(pattern_text, letters, n_pattern, p);
		struct glob *g = glob_new(arena, pattern);
		for (unsigned v = 0; v < power((unsigned)strlen(values), n_value); v++) {
			struct span value = spell(value_text, values, n_value, v);
			n_compared++;
			if (glob_match(g, value) != model_resource(pattern, value))
				FAIL("%.*s on %.*s", SPAN_ARG(pattern), SPAN_ARG(value));
			if (glob_token_match(pattern, value) != model_token(pattern, value, true))
				FAIL("token %.*s on %.*s", SPAN_ARG(pattern), SPAN_ARG(value));
		}
		arena_reset(arena);
	}
}

TEST(agrees_with_the_model_on_all_short_texts)
{
	for (size_t p = 0; p <= 5; p++) {
		for (size_t v = 0; v <= 4; v++)
			compare_all("ab*?/", p, "ab/*", v);
	}
	compare_all("a*/", 7, "a/", 6);
	compare_all("a*\\?", 5, "a*\\", 4);
	CHECK(n_compared > 1000000);
}

TEST(argv_agrees_with_the_model)
{
	static const char *const words_of_pattern[] = {"**", "*", "a", "b", "a*"};
	static const char *const words_of_value[] = {"a", "b", "ab"};
	struct span pattern[5];
	struct span argv[5];

	for (unsigned p = 0; p < power(5, 5); p++) {
		unsigned which = p;
		for (size_t i = 0; i < 5; i++, which /= 5)
			pattern[i] = span_cstr(words_of_pattern[which % 5]);
		struct glob_argv *g = glob_argv_new(arena, pattern, 5);
		for (unsigned v = 0; v < power(3, 5); v++) {
			which = v;
			for (size_t i = 0; i < 5; i++, which /= 3)
				argv[i] = span_cstr(words_of_value[which % 3]);
			for (size_t n = v == 0 ? 0 : 5; n <= 5; n++) {
				if (glob_argv_match(g, argv, n) != model_argv(pattern, 5, argv, n))
					FAIL("pattern %u, argv %u of %zu", p, v, n);
			}
		}
		arena_reset(arena);
	}
}

/*
 * Patterns on which backtracking takes longer than anyone waits: that this test ends is what it
 * checks.
 */
TEST(hostile_values_end)
{
	enum { SIZE = 32 * 1024 };
	static char value[SIZE];
	static struct span argv[SIZE / 2];
	static struct span pattern[129];
	char text[1024];
	size_t n = 0;

	for (size_t i = 0; i < SIZE; i++)
		value[i] = i % 2 == 0 ? 'a' : '/';
	for (size_t i = 0; i < SIZE / 2; i++)
		argv[i] = span_of(value + 2 * i, 1);
	for (size_t i = 0; i < 128; i++)
		pattern[i] = i % 2 == 0 ? SPAN_LIT("**") : SPAN_LIT("a");
	pattern[128] = SPAN_LIT("b");
	for (size_t i = 0; i < 128; i++) {
		memcpy(text + n, "**/a/", 5);
		n += 5;
	}
	memcpy(text + n, "b/**", 4);
	CHECK(!match_resource(span_of(text, n + 4), span_of(value, SIZE)));
	CHECK(match_resource(span_of(text, n - 1), span_of(value, SIZE - 1)));
	struct glob_argv *g = glob_argv_new(arena, pattern, 129);
	CHECK(!glob_argv_match(g, argv, SIZE / 2));
	for (size_t i = 0; i < 256; i++)
		memcpy(text + 2 * i, "*a", 2);
	memset(value, 'a', SIZE);
	CHECK(match_resource(span_of(text, 512), span_of(value, SIZE)));
	text[512] = 'b';
	CHECK(!match_resource(span_of(text, 513), span_of(value, SIZE)));
	CHECK(!glob_token_match(span_of(text, 513), span_of(value, SIZE)));
}

TEST(describes_patterns)
{
	static const struct {
		const char *pattern;
		const char *prefix;
		bool dead;
		bool literal;
	} rows[] = {
		{"file://workspace/**", "file://workspace/", false, false},
		{"file://workspace/a*", "file://workspace/a", false, false},
		{"file://workspace/a?b", "file://workspace/a", false, false},
		{"file://workspace/a", "file://workspace/a", false, true},
		{"**", "", false, false},
		{"", "", false, true},
		{"a\\b", "a\\b", true, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct glob *g = glob_new(arena, span_cstr(rows[i].pattern));
		CHECK_SPAN(glob_get_literal_prefix(g), rows[i].prefix);
		CHECK_INT(glob_is_dead(g), rows[i].dead);
		CHECK_INT(glob_is_literal(g), rows[i].literal);
	}
}

TEST(full_arena)
{
	struct arena *small = arena_new(64);
	struct span tokens[] = {SPAN_LIT("a token"), SPAN_LIT("and a longer token")};

	CHECK(glob_new(small, SPAN_LIT("*/b/c/d/e/f/g")) == NULL);
	arena_reset(small);
	CHECK(glob_argv_new(small, tokens, 2) == NULL);
	arena_free(&small);
}

static const struct test_case test_cases[] = {TEST_ROW(resources), TEST_ROW(tokens), TEST_ROW(argv),
	TEST_ROW(agrees_with_the_model_on_all_short_texts), TEST_ROW(argv_agrees_with_the_model),
	TEST_ROW(hostile_values_end), TEST_ROW(describes_patterns), TEST_ROW(full_arena)};

int
main(int argc, char **argv_of_main)
{
	arena = arena_new(4UL * 1024 * 1024);
	if (arena == NULL)
		return 2;
	int rc = test_run("glob", test_cases, ARRAY_LEN(test_cases), argc, argv_of_main);
	arena_free(&arena);
	return rc;
}
