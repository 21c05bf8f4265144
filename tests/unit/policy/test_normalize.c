/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Normal forms: the reference's table and our corners as corpora, its corpus families, properties, failing memory. */
#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "policy/action.h"
#include "support/cases.h"
#include "support/normal_form.h"
#include "support/test.h"

#define ARENA_BYTES (256 * 1024)

/* The result is valid until the next call. */
static enum err
normalize(struct span raw, bool custom, struct resource *out, struct errinfo *ei)
{
	static struct arena *arena;

	if (arena == NULL)
		arena = arena_new(ARENA_BYTES);
	arena_reset(arena);
	ei->msg[0] = '\0';
	return resource_normalize(raw, custom, arena, out, ei);
}

static void
check_row(const struct cases_row *row, void *arg)
{
	struct resource r;
	struct errinfo ei;
	bool accepted = span_eq_cstr(row->field[3], "->");

	(void)arg;
	enum err rc =
		normalize(row->field[2], action_kind_of(row->field[1]) == ACTION_CUSTOM, &r, &ei);
	struct span got = rc == OK ? r.text : span_cstr(ei.msg);
	if (rc != (accepted ? OK : ERR_NORMALIZE) || !span_eq(got, row->field[4]))
		FAIL("%s:%d: \"%.*s\" gives %s \"%.*s\", not \"%.*s\"", row->file, row->line,
			SPAN_ARG(row->field[2]), err_name(rc), SPAN_ARG(got),
			SPAN_ARG(row->field[4]));
	if (rc == OK && normal_form_judge(&r) != NULL)
		FAIL("%s:%d: %s", row->file, row->line, normal_form_judge(&r));
	CHECK(rc == OK || (r.text.n == 0 && r.host.n == 0 && r.path.n == 0));
}

TEST(gives_the_results_of_the_reference_table)
{
	CHECK_INT(cases_each("normalize/table.cases", check_row, NULL), 216);
}

TEST(refuses_each_bypass)
{
	CHECK_INT(cases_each("normalize/bypass.cases", check_row, NULL), 24);
}

TEST(keeps_the_rules_in_corners)
{
	CHECK(cases_each("normalize/edge.cases", check_row, NULL) > 40);
}

static void
check_family(bool custom, const char *want, const char *raw)
{
	struct resource r;
	struct errinfo ei;

	enum err rc = normalize(span_cstr(raw), custom, &r, &ei);
	CHECK_INT(rc, OK);
	CHECK_SPAN(r.text, want);
}

/* The families of nomos-policy.md 4.7, as many of each as there. */
TEST(keeps_the_corpus_families)
{
	char raw[128];
	char want[128];

	for (int i = 0; i < 60; i++) {
		snprintf(raw, sizeof(raw), "file://workspace//dir%d/file%d.txt", i, i);
		snprintf(want, sizeof(want), "file://workspace/dir%d/file%d.txt", i, i);
		check_family(false, want, raw);
	}
	for (int i = 0; i < 40; i++) {
		snprintf(raw, sizeof(raw), "file://workspace\\\\dir%d\\\\file%d.txt", i, i);
		snprintf(want, sizeof(want), "file://workspace/dir%d/file%d.txt", i, i);
		check_family(false, want, raw);
	}
	for (int i = 0; i < 40; i++) {
		snprintf(raw, sizeof(raw), "file://workspace/%s/%d.txt",
			i % 2 == 0 ? "%C3%A9t%C3%A9" : "%E6%96%87%E4%BB%B6", i);
		snprintf(want, sizeof(want), "file://workspace/%s/%d.txt",
			i % 2 == 0 ? "\xc3\xa9t\xc3\xa9" : "\xe6\x96\x87\xe4\xbb\xb6", i);
		check_family(false, want, raw);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(raw, sizeof(raw), "file://workspace//My%%20Dir//File%d", i);
		snprintf(want, sizeof(want), "file://workspace/My Dir/File%d", i);
		check_family(false, want, raw);
	}
}

TEST(keeps_the_corpus_families_of_hosts)
{
	char raw[128];
	char want[128];

	for (int i = 0; i < 30; i++) {
		snprintf(raw, sizeof(raw), "url://Api%d.Example.COM:80/v1/Item", i);
		snprintf(want, sizeof(want), "url://api%d.example.com/v1/Item", i);
		check_family(i % 2 == 0, want, raw);
		snprintf(raw, sizeof(raw), "repo://Org%d/Service-%d", i, i);
		snprintf(want, sizeof(want), "repo://org%d/service-%d", i, i);
		check_family(i % 2 == 0, want, raw);
	}
	for (int i = 0; i < 20; i++) {
		snprintf(raw, sizeof(raw), "url://XN--BCHER-KVA%d.EXAMPLE:443/a", i);
		snprintf(want, sizeof(want), "url://xn--bcher-kva%d.example/a", i);
		check_family(false, want, raw);
		snprintf(raw, sizeof(raw), "url://[2001:DB8::%X]:443/a", i);
		snprintf(want, sizeof(want), "url://[2001:db8::%x]/a", i);
		check_family(false, want, raw);
	}
}

TEST(tells_scheme_host_and_path_apart)
{
	struct resource r;
	struct errinfo ei;

	CHECK_INT(normalize(SPAN_LIT("file:///A/b"), false, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_FILE);
	CHECK_SPAN(r.host, "workspace");
	CHECK_SPAN(r.path, "/A/b");
	CHECK_INT(normalize(SPAN_LIT("url://Example.com:8443"), false, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_URL);
	CHECK_SPAN(r.host, "example.com:8443");
	CHECK_SPAN(r.path, "/");
	CHECK_INT(normalize(SPAN_LIT("repo://Org/Name"), true, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_REPO);
	CHECK_SPAN(r.host, "org");
	CHECK_SPAN(r.path, "/name");
	CHECK_INT(normalize(SPAN_LIT("secret://v/K"), false, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_SECRET);
	CHECK_INT(normalize(SPAN_LIT("payment://Shop/x"), true, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_CUSTOM);
	CHECK_SPAN(r.host, "shop");
	/* The scheme follows from the text, by whichever way the text came about. */
	CHECK_INT(normalize(SPAN_LIT("file://workspace:80/a"), true, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_FILE);
	CHECK_INT(normalize(SPAN_LIT("file://other/a"), true, &r, &ei), OK);
	CHECK_INT(r.scheme, RESOURCE_CUSTOM);
}

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A resource put together from pieces that matter to the rules. */
static struct span
make_resource(uint64_t *state, char *out, size_t size)
{
	static const char *const pieces[] = {"file://", "FILE://workspace", "url://", "repo://",
		"secret://", "pay://", "workspace", "org", "Example.COM", ":80", ":443", ":8080",
		"/", "//", "/./", "..", ".", "\\", "%2e", "%2F", "%5c", "%252e", "%3f", "%23",
		"%20", " ", "?q", "#f", "@", "[", "]", "::1", "a", "B", "*", "**", "%C3%89",
		"\xc3\x89", "\xe2\x84\xaa", "%FF", "%00", "%0a", "\xc2\xa0", "%", "\xff"};
	static const char *const starts[] = {"file://workspace/", "url://h/", "repo://o/",
		"secret://v/", "pay://h/", "file:", ""};
	size_t n = 0;

	const char *start = starts[next_random(state) % ARRAY_LEN(starts)];
	n += (size_t)snprintf(out, size, "%s", start);
	for (uint64_t left = next_random(state) % 8; left > 0; left--) {
		const char *piece = pieces[next_random(state) % ARRAY_LEN(pieces)];
		n += (size_t)snprintf(out + n, size - n, "%s", piece);
	}
	return span_of(out, n);
}

static void
check_properties(struct span raw, bool custom, struct arena *second)
{
	struct resource first;
	struct resource again;
	struct errinfo ei;

	enum err rc = normalize(raw, custom, &first, &ei);
	if (rc != OK) {
		CHECK_INT(rc, ERR_NORMALIZE);
		CHECK(ei.msg[0] != '\0');
		return;
	}
	const char *wrong = normal_form_judge(&first);
	if (wrong != NULL)
		FAIL("\"%.*s\" gives \"%.*s\": %s", SPAN_ARG(raw), SPAN_ARG(first.text), wrong);
	if (!normal_form_is_fixed(&first))
		return;
	arena_reset(second);
	rc = resource_normalize(first.text, custom, second, &again, &ei);
	if (rc != OK || !span_eq(first.text, again.text) || first.scheme != again.scheme)
		FAIL("\"%.*s\" gives \"%.*s\", which gives \"%.*s\"", SPAN_ARG(raw),
			SPAN_ARG(first.text), SPAN_ARG(again.text));
}

TEST(is_idempotent_and_clean_for_generated_resources)
{
	struct arena *second = arena_new(ARENA_BYTES);
	uint64_t state = 0x9e3779b97f4a7c15u;
	char text[512];

	for (int i = 0; i < 200000; i++)
		check_properties(make_resource(&state, text, sizeof(text)), i % 2 == 0, second);
	arena_free(&second);
}

/* Decoded once, left decoded: the exceptions to idempotence, and what holds for them. */
TEST(decodes_once_and_only_once)
{
	struct resource r;
	struct errinfo ei;

	CHECK_INT(normalize(SPAN_LIT("url://h/%2561dmin"), false, &r, &ei), OK);
	CHECK_SPAN(r.path, "/%61dmin");
	CHECK(!normal_form_is_fixed(&r));
	CHECK_INT(normalize(SPAN_LIT("url://h/admin%3Fx"), false, &r, &ei), OK);
	CHECK_SPAN(r.path, "/admin?x");
	CHECK(!normal_form_is_fixed(&r));
	CHECK_INT(normalize(SPAN_LIT("file://workspace/%252e%252e/a"), false, &r, &ei), OK);
	CHECK_SPAN(r.path, "/%2e%2e/a");
	CHECK(!normal_form_is_fixed(&r));
}

TEST(gives_way_when_memory_is_out)
{
	static const char *const raws[] = {"file://workspace\\a\\b", "repo://Org/Name",
		"url://Host:8080/a", "pay://H/a", "repo://o/a/"};
	long live = mem_live();

	for (size_t i = 0; i < ARRAY_LEN(raws); i++) {
		size_t cap = 0;
		enum err rc;
		do {
			struct resource r;
			struct errinfo ei = {.code = OK};
			struct arena *a = arena_new(cap);
			CHECK(a != NULL);
			rc = resource_normalize(span_cstr(raws[i]), true, a, &r, &ei);
			CHECK(rc == OK || rc == ERR_TOO_LARGE);
			CHECK((rc == OK) == (r.text.n > 0));
			arena_free(&a);
		} while (rc != OK && cap++ < 4096);
		CHECK_INT(rc, OK);
		CHECK(cap > 0);
	}
	CHECK_INT(mem_live(), live);
}

TEST(bounds_a_long_resource)
{
	static char raw[ACTION_BODY_BYTES_MAX];
	struct resource r;
	struct errinfo ei;

	memset(raw, '/', sizeof(raw));
	memcpy(raw, "file://workspace/", 17);
	CHECK_INT(normalize(span_of(raw, sizeof(raw)), false, &r, &ei), OK);
	CHECK_SPAN(r.text, "file://workspace/");
	/* A letter whose lower-case form is longer than itself, all the way. */
	for (size_t i = 11; i + 2 <= sizeof(raw); i += 2)
		memcpy(raw + i, "\xc8\xba", 2);
	memcpy(raw, "repo://org/", 11);
	CHECK_INT(normalize(span_of(raw, sizeof(raw) - 1), false, &r, &ei), OK);
	CHECK_INT(r.text.n, 11 + (sizeof(raw) - 12) / 2 * 3);
}

SUITE("policy.normalize", TEST_ROW(gives_the_results_of_the_reference_table),
	TEST_ROW(refuses_each_bypass), TEST_ROW(keeps_the_rules_in_corners),
	TEST_ROW(keeps_the_corpus_families), TEST_ROW(keeps_the_corpus_families_of_hosts),
	TEST_ROW(tells_scheme_host_and_path_apart),
	TEST_ROW(is_idempotent_and_clean_for_generated_resources),
	TEST_ROW(decodes_once_and_only_once), TEST_ROW(gives_way_when_memory_is_out),
	TEST_ROW(bounds_a_long_resource))
