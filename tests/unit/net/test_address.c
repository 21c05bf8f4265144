/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Addresses, their one form, and which proxies are trusted. */
#include "net/address.h"

#include "support/test.h"

static void
check_form(const char *text, const char *want)
{
	char out[ADDRESS_TEXT_MAX];
	struct address a;

	if (!address_parse(span_cstr(text), &a)) {
		FAIL("\"%s\" does not parse", text);
		return;
	}
	address_format(&a, out);
	CHECK_STR(out, want);
}

TEST(one_form)
{
	check_form("10.0.0.1", "10.0.0.1");
	check_form("::ffff:10.0.0.1", "10.0.0.1");
	check_form("::FFFF:a00:1", "10.0.0.1");
	check_form("2001:DB8:0:0::1", "2001:db8::1");
	check_form("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

TEST(no_addresses)
{
	static const char *const texts[] = {"", "10.0.0", "10.0.0.1 ", "10.0.0.01", "10.0.0.1:80",
		"[::1]", "::1%lo", "localhost", "1", "0x7f.0.0.1"};
	struct address a;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (address_parse(span_cstr(texts[i]), &a))
			FAIL("\"%s\" parses", texts[i]);
	}
}

TEST(trusted)
{
	struct trusted_proxies t = {.n = 0};
	struct errinfo ei;

	CHECK(!trusted_proxies_has(&t, SPAN_LIT("127.0.0.1")));
	CHECK_INT(trusted_proxies_add(&t, SPAN_LIT("10.0.0.0/8"), &ei), OK);
	CHECK_INT(trusted_proxies_add(&t, SPAN_LIT("2001:db8::/33"), &ei), OK);
	CHECK(!t.has_unix);
	CHECK_INT(trusted_proxies_add(&t, SPAN_LIT("unix:"), &ei), OK);
	CHECK(t.has_unix && t.n == 2);
	CHECK(trusted_proxies_has(&t, SPAN_LIT("10.255.0.1")));
	CHECK(trusted_proxies_has(&t, SPAN_LIT("::ffff:10.255.0.1")));
	CHECK(!trusted_proxies_has(&t, SPAN_LIT("11.0.0.1")));
	CHECK(trusted_proxies_has(&t, SPAN_LIT("2001:db8:7fff::1")));
	CHECK(!trusted_proxies_has(&t, SPAN_LIT("2001:db8:8000::1")));
	CHECK(!trusted_proxies_has(&t, SPAN_LIT("unix:")));
	CHECK(!trusted_proxies_has(&t, SPAN_NONE));
	CHECK_INT(trusted_proxies_add(&t, SPAN_LIT("unix"), &ei), ERR_PARSE);
	CHECK_INT(trusted_proxies_add(&t, SPAN_LIT("10.0.0.0/33"), &ei), ERR_PARSE);
}

SUITE("address", TEST_ROW(one_form), TEST_ROW(no_addresses), TEST_ROW(trusted))
