/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers of both versions: what is one, who is the client, and that pieces of one are never taken for anything else. */
#include "proxy_header.h"

#include <stdio.h>

#include "support/cases.h"
#include "support/test.h"

static const char *const verdicts[] = {
	[PROXY_REFUSED] = "refused", [PROXY_MORE] = "more", [PROXY_DONE] = "done"};

/* A header that is whole is "more" at each of its bytes before. */
static void
check_prefixes(const struct cases_row *row, const struct proxy_header *whole)
{
	struct proxy_header h;

	for (size_t n = 0; n < whole->n; n++) {
		if (proxy_header_read(span_of(row->field[0].p, n), &h) != PROXY_MORE || h.n != 0)
			FAIL("%s:%d: the first %zu bytes", row->file, row->line, n);
	}
}

static void
check_row(const struct cases_row *row, void *arg)
{
	char client[ADDRESS_TEXT_MAX] = "";
	struct proxy_header h;

	(void)arg;
	enum proxy_verdict got = proxy_header_read(row->field[0], &h);
	if (!span_eq_cstr(row->field[1], verdicts[got])) {
		FAIL("%s:%d: %s", row->file, row->line, verdicts[got]);
		return;
	}
	if (got != PROXY_DONE) {
		CHECK(h.n == 0 && !h.has_client);
		return;
	}
	if (h.has_client)
		address_format(&h.client, client);
	char bytes[16];
	snprintf(bytes, sizeof(bytes), "%zu", h.n);
	if (!span_eq_cstr(row->field[2], client) || !span_eq_cstr(row->field[3], bytes))
		FAIL("%s:%d: client %s, %s bytes", row->file, row->line, client, bytes);
	check_prefixes(row, &h);
}

TEST(rows)
{
	CHECK(cases_each("proxy_header/header.cases", check_row, NULL) > 80);
}

/* A unix client of the proxy, which has no address. */
TEST(unix_client_is_unknown)
{
	char bytes[16 + 216] = "\r\n\r\n\0\r\nQUIT\n\x21\x31";
	struct proxy_header h;

	bytes[15] = (char)216;
	CHECK_INT(proxy_header_read(span_of(bytes, sizeof(bytes)), &h), PROXY_DONE);
	CHECK(!h.has_client && h.n == sizeof(bytes));
	CHECK_INT(proxy_header_read(span_of(bytes, sizeof(bytes) - 1), &h), PROXY_MORE);
}

SUITE("proxy_header", TEST_ROW(rows), TEST_ROW(unix_client_is_unknown))
