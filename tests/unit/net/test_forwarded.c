/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who the client is behind trusted proxies (10.0.0.0/8 here): the right-most address that no proxy of ours has. */
#include "net/forwarded.h"

#include "support/cases.h"
#include "support/test.h"

#define LINES_MAX 8
#define PEER "10.0.0.1"

struct lines {
	struct http_header v[LINES_MAX];
	size_t n;
};

/* Lines of a kind, divided by LF. */
static void
add_lines(struct lines *l, struct span name, struct span text)
{
	while (text.n > 0) {
		size_t n = span_find(text, '\n');
		l->v[l->n] = (struct http_header){name, span_of(text.p, n)};
		l->n++;
		text = span_from(text, n < text.n ? n + 1 : n);
	}
}

static void
check_row(const struct cases_row *row, void *arg)
{
	const struct trusted_proxies *trusted = arg;
	struct lines l = {.n = 0};

	add_lines(&l, SPAN_LIT("Forwarded"), row->field[0]);
	add_lines(&l, SPAN_LIT("X-Forwarded-For"), row->field[1]);
	struct span want = span_eq_cstr(row->field[2], "peer") ? SPAN_LIT(PEER) : row->field[2];
	struct span got = forwarded_find_client(l.v, l.n, trusted, SPAN_LIT(PEER));
	if (!span_eq(got, want))
		FAIL("%s:%d: \"%.*s\"", row->file, row->line, SPAN_ARG(got));
}

TEST(rows)
{
	struct trusted_proxies trusted = {.n = 0};
	struct errinfo ei;

	CHECK_INT(trusted_proxies_add(&trusted, SPAN_LIT("10.0.0.0/8"), &ei), OK);
	CHECK(cases_each("forwarded/client.cases", check_row, &trusted) > 50);
}

/* What a client writes stands before what the proxies add, and cannot push that out of sight; when all that is looked at are proxies, nobody
 * is known. */
TEST(too_many_hops)
{
	static char text[9 * (FORWARDED_HOPS_MAX + 9)];
	const struct span tail = SPAN_LIT("192.0.2.9");
	struct trusted_proxies trusted = {.n = 0};
	struct errinfo ei;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = "10.0.0.2,"[i % 9];
	struct http_header h = {SPAN_LIT("x-forwarded-for"), span_of(text, sizeof(text))};
	CHECK_SPAN(forwarded_find_client(&h, 1, &trusted, SPAN_LIT(PEER)), "10.0.0.2");
	CHECK_INT(trusted_proxies_add(&trusted, SPAN_LIT("10.0.0.0/8"), &ei), OK);
	CHECK_SPAN(forwarded_find_client(&h, 1, &trusted, SPAN_LIT(PEER)), "");
	memcpy(text + sizeof(text) - 9, tail.p, tail.n);
	CHECK_SPAN(forwarded_find_client(&h, 1, &trusted, SPAN_LIT(PEER)), "192.0.2.9");
}

static bool
is_https(const char *value)
{
	struct http_header h = {SPAN_LIT("x-forwarded-proto"), span_cstr(value)};

	return forwarded_is_https(&h, 1);
}

TEST(https_is_what_the_nearest_proxy_says)
{
	CHECK(is_https("https") && is_https("HTTPS") && is_https("http, https"));
	CHECK(!is_https("") && !is_https("http") && !is_https("https, http"));
	CHECK(!is_https("https,") && !is_https("httpss"));
	CHECK(!forwarded_is_https(NULL, 0));
	struct http_header two[] = {{SPAN_LIT("X-Forwarded-Proto"), SPAN_LIT("https")},
		{SPAN_LIT("X-Forwarded-Proto"), SPAN_LIT("http")}};
	CHECK(!forwarded_is_https(two, 2));
}

SUITE("forwarded", TEST_ROW(rows), TEST_ROW(too_many_hops),
	TEST_ROW(https_is_what_the_nearest_proxy_says))
