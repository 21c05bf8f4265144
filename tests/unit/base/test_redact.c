/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction against its corpora; operators' patterns, failures, threads, and that a second pass
 * finds nothing.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "base/redact.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/mem.h"
#include "support/cases.h"
#include "support/test.h"

#define REPLACEMENT "[REDACTED]"

static void
check_whole(const struct cases_row *row, void *arg)
{
	struct buf b;

	(void)arg;
	buf_init(&b, BUF_CAP_REPLY);
	CHECK(!redact_is_clean(redactor_default(), row->field[1]));
	if (!redact(redactor_default(), row->field[1], &b))
		FAIL("%s:%d: nothing replaced", row->file, row->line);
	if (!span_eq_cstr(buf_span(&b), REPLACEMENT))
		FAIL("%s:%d: %.*s", row->file, row->line, SPAN_ARG(buf_span(&b)));
	buf_reset(&b);
	/* The same inside a text: nothing of it remains. */
	buf_add_cstr(&b, "log: ");
	redact(redactor_default(), row->field[1], &b);
	for (size_t i = 0; i + row->field[2].n <= b.n; i++) {
		if (memcmp(b.p + i, row->field[2].p, row->field[2].n) == 0)
			FAIL("%s:%d: leaks", row->file, row->line);
	}
	buf_fini(&b);
}

TEST(secrets_go_whole)
{
	CHECK_INT(cases_each("redact/secrets.cases", check_whole, NULL), 165);
	CHECK(cases_each("redact/keys.cases", check_whole, NULL) > 20);
}

static void
check_same(const struct cases_row *row, void *arg)
{
	struct buf b;

	(void)arg;
	buf_init(&b, BUF_CAP_REPLY);
	if (redact(redactor_default(), row->field[0], &b))
		FAIL("%s:%d: replaced", row->file, row->line);
	if (!span_eq(buf_span(&b), row->field[0]))
		FAIL("%s:%d: %.*s", row->file, row->line, SPAN_ARG(buf_span(&b)));
	CHECK(redact_is_clean(redactor_default(), row->field[0]));
	buf_fini(&b);
}

TEST(prose_stays)
{
	CHECK(cases_each("redact/prose.cases", check_same, NULL) >= 20);
}

static void
check_context(const struct cases_row *row, void *arg)
{
	struct buf b;

	(void)arg;
	buf_init(&b, BUF_CAP_REPLY);
	bool changed = redact(redactor_default(), row->field[0], &b);
	if (!span_eq(buf_span(&b), row->field[1]))
		FAIL("%s:%d: %.*s", row->file, row->line, SPAN_ARG(buf_span(&b)));
	if (changed == span_eq(row->field[0], row->field[1]))
		FAIL("%s:%d: says %d", row->file, row->line, changed);
	if (redact_is_clean(redactor_default(), row->field[0]) == changed)
		FAIL("%s:%d: clean says otherwise", row->file, row->line);
	if (!redact_is_clean(redactor_default(), buf_span(&b)))
		FAIL("%s:%d: a second pass finds more", row->file, row->line);
	buf_fini(&b);
}

TEST(context_stays)
{
	CHECK(cases_each("redact/context.cases", check_context, NULL) > 40);
}

/* Weak spot 34 of the reference: wherever a text is cut, no line of a key stays readable. */
TEST(cut_keys_do_not_leak)
{
	const char text[] = "key:\n-----BEGIN RSA PRIVATE KEY-----\n"
			    "ZmFrZSBmYWtlIGZha2UgZmFrZSBmYWtlIGZha2UgZmFrZSBm\n"
			    "c2Vjb25kIGxpbmUgb2YgdGhlIGZha2Uga2V5IHdoaWNoIGlz\n"
			    "-----END RSA PRIVATE KEY-----\nend";
	struct buf b;

	buf_init(&b, BUF_CAP_REPLY);
	for (size_t n = 0; n < sizeof(text); n++) {
		buf_reset(&b);
		redact(redactor_default(), span_of(text, n), &b);
		CHECK(b.p == NULL || strstr(b.p, "Zm") == NULL);
		CHECK(b.p == NULL || strstr(b.p, "c2Vjb25k") == NULL);
	}
	CHECK_SPAN(buf_span(&b), "key:\n" REPLACEMENT "\nend");
	buf_fini(&b);
}

static struct redactor *
with_patterns(const struct span *patterns, size_t n)
{
	struct redactor *r = NULL;
	struct errinfo ei = {.code = OK};

	if (redactor_new(patterns, n, &r, &ei) != OK)
		FAIL("%s", ei.msg);
	return r;
}

static void
check_redact(const struct redactor *r, struct span text, const char *want)
{
	struct buf b;

	buf_init(&b, BUF_CAP_REPLY);
	CHECK_INT(redact(r, text, &b), !span_eq_cstr(text, want));
	CHECK_SPAN(buf_span(&b), want);
	CHECK_INT(redact_is_clean(r, text), span_eq_cstr(text, want));
	buf_fini(&b);
}

TEST(patterns_of_the_operator)
{
	const struct span patterns[] = {SPAN_LIT("emp-[0-9]{6}"), SPAN_LIT("(?i)project\\s+\\w+"),
		SPAN_LIT("a,b"), SPAN_LIT("\xc3[\xa0-\xbf]x"), SPAN_LIT("[\xa9]")};
	struct redactor *r = with_patterns(patterns, ARRAY_LEN(patterns));

	check_redact(r, SPAN_LIT("emp-123456 and emp-12345"), REPLACEMENT " and emp-12345");
	check_redact(r, SPAN_LIT("The PROJECT Falcon."), "The " REPLACEMENT ".");
	check_redact(r, SPAN_LIT("xa,by"), "x" REPLACEMENT "y");
	/* A byte class cannot cut a character in two. */
	check_redact(r, SPAN_LIT("caf\xc3\xa9!"), "caf" REPLACEMENT "!");
	/* The built-ins stay. */
	check_redact(r, SPAN_LIT("cookie: x"), REPLACEMENT);
	check_redact(redactor_default(), SPAN_LIT("emp-123456"), "emp-123456");
	redactor_free(&r);
	CHECK(r == NULL);
	redactor_free(&r);
}

/* Of each row of secrets: found also when it is one of many texts that are looked at together. */
static bool
is_inert_among(const struct redactor *r, struct span text, const char *around)
{
	struct buf b;

	buf_init(&b, BUF_CAP_REPLY);
	buf_printf(&b, "some text%s", around);
	buf_add_span(&b, text);
	buf_printf(&b, "%smore", around);
	bool is_inert = redact_is_inert(r, buf_span(&b));
	buf_fini(&b);
	return is_inert;
}

TEST(one_look_at_many_texts)
{
	const struct span secrets[] = {SPAN_LIT("AKIAABCDEFGHIJKLMNOP"), SPAN_LIT("cookie: x"),
		SPAN_LIT("ASIAABCDEFGHIJKLMNOP"), SPAN_LIT("-----BEGIN PRIVATE KEY-----\nabc"),
		SPAN_LIT("sk-abcdefghijklmnopqrst"), SPAN_LIT("password=hunter2")};

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		CHECK(!is_inert_among(redactor_default(), secrets[i], "\n"));
		CHECK(!is_inert_among(redactor_default(), secrets[i], "\""));
		CHECK(!redact_is_inert(redactor_default(), secrets[i]));
	}
	CHECK(is_inert_among(redactor_default(), SPAN_LIT("file://workspace/a"), "\n"));
	CHECK(redact_is_inert(redactor_default(), SPAN_NONE));
}

/* A text's ends are not those of the whole: with such a pattern every text is looked at by itself. */
TEST(one_look_knows_patterns_that_want_the_ends)
{
	static const struct {
		const char *pattern;
		const char *text;
		bool is_inert;
	} rows[] = {
		{"^emp", "emp", false},
		{"emp$", "emp", false},
		{"\\Aemp", "emp", false},
		{"emp\\z", "emp", false},
		{"emp[0-9]", "emp1", false},
		{"\\bemp\\b", "emp", false},
		{"[^a]emp", "xemp", false},
		{"\\^emp", "nothing", true},
		{"[^a]emp", "nothing", true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct span patterns[] = {span_cstr(rows[i].pattern)};
		struct redactor *r = with_patterns(patterns, 1);

		CHECK_INT(is_inert_among(r, span_cstr(rows[i].text), "\n"), rows[i].is_inert);
		CHECK(rows[i].is_inert || !redact_is_clean(r, span_cstr(rows[i].text)));
		redactor_free(&r);
	}
}

TEST(wrong_patterns_are_named)
{
	const struct span wrong[] = {SPAN_LIT("("), SPAN_LIT("a{2,1}"), SPAN_LIT(""),
		SPAN_LIT("x*"), SPAN_LIT("[z-a]"), SPAN_LIT("(?<=a)b"), SPAN_LIT("a\0b"),
		SPAN_LIT("\\1")};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		const struct span patterns[] = {SPAN_LIT("good"), wrong[i]};
		struct redactor *r = NULL;
		struct errinfo ei = {.code = OK};
		long live = mem_live();
		CHECK_INT(redactor_new(patterns, 2, &r, &ei), ERR_INVALID);
		CHECK(r == NULL);
		CHECK(strncmp(ei.msg, "invalid redaction pattern \"", 27) == 0);
		CHECK(strncmp(ei.msg + 27, wrong[i].p, strlen(wrong[i].p)) == 0);
		CHECK_INT(mem_live(), live);
	}
}

TEST(too_many_patterns)
{
	static struct span patterns[257];
	struct redactor *r;

	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		patterns[i] = SPAN_LIT("x1");
	CHECK_INT(redactor_new(patterns, 257, &r, NULL), ERR_INVALID);
	CHECK(r == NULL);
	r = with_patterns(patterns, 256);
	check_redact(r, SPAN_LIT("x1"), REPLACEMENT);
	redactor_free(&r);
}

TEST(every_allocation_may_fail)
{
	const struct span patterns[] = {SPAN_LIT("ab"), SPAN_LIT("cd")};
	unsigned long n;
	enum err rc = ERR_NOMEM;

	for (n = 1; rc != OK && n < 100; n++) {
		struct redactor *r = NULL;
		long live = mem_live();
		mem_fail_at(n);
		rc = redactor_new(patterns, 2, &r, NULL);
		mem_fail_at(0);
		CHECK(rc == OK || (rc == ERR_NOMEM && r == NULL));
		redactor_free(&r);
		CHECK_INT(mem_live(), live);
	}
	CHECK(n > 3 && n < 100);
}

/* More places than fit on the stack; when there is no memory for them the whole text goes. */
TEST(many_places)
{
	enum { N = 1000 };
	static char text[N * 24];
	struct buf b;
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		memcpy(text + n, "AKIAABCDEFGHIJKLMNOP, ", 22);
		n += 22;
	}
	buf_init(&b, BUF_CAP_REPLY);
	CHECK(redact(redactor_default(), span_of(text, n), &b));
	CHECK_INT(b.n, N * strlen(REPLACEMENT ", "));
	buf_reset(&b);
	buf_add_char(&b, '<');
	mem_fail_at(1);
	CHECK(redact(redactor_default(), span_of(text, n), &b));
	mem_fail_at(0);
	CHECK_SPAN(buf_span(&b), "<" REPLACEMENT);
	buf_fini(&b);
}

TEST(empty_text)
{
	struct buf b;

	buf_init(&b, 16);
	CHECK(!redact(redactor_default(), SPAN_NONE, &b));
	CHECK(redact_is_clean(redactor_default(), SPAN_NONE));
	CHECK_INT(b.n, 0);
	buf_fini(&b);
}

/*
 * Shapes on which looking ahead once per match would take minutes: that this test ends is what it
 * checks.
 */
TEST(hostile_texts_end)
{
	static const char *const units[] = {"token=", "token='", "token=\"", "\\\"token\\\":\\\"",
		"eyJ", "eyJa.", "authorization:", "cookie: a", "-----BEGIN A-----",
		"-----BEGIN A-----\n\n\n", "sk-", "bearer ", "bearer aaaaaaaaaaaa", "://",
		"://a:", "password=a", "AKIA"};
	enum { SIZE = 1024 * 1024 };
	static char text[SIZE];
	struct buf b;

	buf_init(&b, 16UL * SIZE);
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		size_t unit = strlen(units[u]);
		for (size_t i = 0; i < SIZE; i++)
			text[i] = units[u][i % unit];
		buf_reset(&b);
		redact(redactor_default(), span_of(text, SIZE), &b);
		CHECK(!buf_failed(&b));
	}
	buf_fini(&b);
}

/* The library looks at bytes behind a text; where there are none, that ended the process. */
TEST(a_text_may_end_where_the_memory_ends)
{
	static const char alphabet[] = "eyJhbGciOi.\\\"secretTokenAKIA:/=- bearer\n\223\233@x";
	enum { ROOM = 16 * 4096, LONGEST = 5000 };
	char *room =
		mmap(NULL, 2UL * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned seed = 1;

	CHECK(room != MAP_FAILED && mprotect(room + ROOM, ROOM, PROT_NONE) == 0);
	for (int i = 0; i < 20000; i++) {
		size_t n = 1 + (unsigned)rand_r(&seed) % (i % 100 == 0 ? LONGEST : 300);
		char *text = room + ROOM - n;
		for (size_t k = 0; k < n; k++)
			text[k] = alphabet[(unsigned)rand_r(&seed) % (sizeof(alphabet) - 1)];
		(void)redact_is_clean(redactor_default(), span_of(text, n));
	}
	CHECK_INT(munmap(room, 2UL * ROOM), 0);
}

static void *
redact_in_thread(void *arg)
{
	const struct redactor *r = arg;
	uintptr_t n_wrong = 0;

	for (int i = 0; i < 200; i++) {
		struct buf b;
		buf_init(&b, 256);
		redact(i % 2 == 0 ? r : redactor_default(), SPAN_LIT("a cookie: b\nemp-123456"),
			&b);
		n_wrong +=
			!span_eq_cstr(buf_span(&b), i % 2 == 0 ? "a " REPLACEMENT "\n" REPLACEMENT
							       : "a " REPLACEMENT "\nemp-123456");
		buf_fini(&b);
	}
	return n_wrong == 0 ? NULL : arg;
}

TEST(threads_share_redactors)
{
	const struct span patterns[] = {SPAN_LIT("emp-[0-9]{6}")};
	struct redactor *r = with_patterns(patterns, 1);
	pthread_t threads[4];

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, redact_in_thread, r), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *wrong = NULL;
		CHECK_INT(pthread_join(threads[i], &wrong), 0);
		CHECK(wrong == NULL);
	}
	redactor_free(&r);
}

/* A thread's scratch space is known to fit the last few redactors only. */
TEST(many_redactors_on_one_thread)
{
	struct redactor *r[8];

	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		const char text[] = {'k', (char)('a' + i), '\0'};
		const struct span patterns[] = {span_cstr(text)};
		r[i] = with_patterns(patterns, 1);
	}
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < ARRAY_LEN(r); i++)
			check_redact(r[i], SPAN_LIT("<kakbkckdkekfkgkh>"),
				i == 0   ? "<" REPLACEMENT "kbkckdkekfkgkh>"
				: i == 7 ? "<kakbkckdkekfkg" REPLACEMENT ">"
				: i == 1 ? "<ka" REPLACEMENT "kckdkekfkgkh>"
				: i == 2 ? "<kakb" REPLACEMENT "kdkekfkgkh>"
				: i == 3 ? "<kakbkc" REPLACEMENT "kekfkgkh>"
				: i == 4 ? "<kakbkckd" REPLACEMENT "kfkgkh>"
				: i == 5 ? "<kakbkckdke" REPLACEMENT "kgkh>"
					 : "<kakbkckdkekf" REPLACEMENT "kh>");
	}
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		redactor_free(&r[i]);
}

SUITE("redact", TEST_ROW(secrets_go_whole), TEST_ROW(prose_stays), TEST_ROW(context_stays),
	TEST_ROW(cut_keys_do_not_leak), TEST_ROW(patterns_of_the_operator),
	TEST_ROW(one_look_at_many_texts), TEST_ROW(one_look_knows_patterns_that_want_the_ends),
	TEST_ROW(wrong_patterns_are_named), TEST_ROW(too_many_patterns),
	TEST_ROW(every_allocation_may_fail), TEST_ROW(many_places), TEST_ROW(empty_text),
	TEST_ROW(a_text_may_end_where_the_memory_ends), TEST_ROW(hostile_texts_end),
	TEST_ROW(threads_share_redactors), TEST_ROW(many_redactors_on_one_thread))
