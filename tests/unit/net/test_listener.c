/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Addresses to listen on, the probe that tells a second gateway, and which addresses must not be
 * dialled. */
#include "net/listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr_guard.h"
#include "support/test.h"

static void
check_text(const char *text, const char *want, bool is_loopback)
{
	struct listener_addr a;
	char out[LISTENER_TEXT_MAX];

	if (listener_parse(span_cstr(text), &a, NULL) != OK) {
		FAIL("\"%s\" does not parse", text);
		return;
	}
	listener_format(&a, out);
	CHECK_STR(out, want);
	CHECK_INT(listener_is_loopback(&a), is_loopback);
}

TEST(good_addresses)
{
	struct listener_addr a;

	check_text("127.0.0.1:8080", "127.0.0.1:8080", true);
	check_text("localhost:1", "127.0.0.1:1", true);
	check_text("LocalHost:1", "127.0.0.1:1", true);
	check_text("127.9.9.9:65535", "127.9.9.9:65535", true);
	check_text("[::1]:0", "[::1]:0", true);
	check_text("[2001:db8::1]:443", "[2001:db8::1]:443", false);
	check_text("0.0.0.0:80", "0.0.0.0:80", false);
	CHECK_INT(listener_parse(SPAN_LIT(":8080"), &a, NULL), OK);
	CHECK(a.is_any && a.port == 8080 && !listener_is_loopback(&a));
	CHECK_INT(listener_parse(SPAN_LIT("[::]:80"), &a, NULL), OK);
	CHECK(a.is_any && !a.is_ipv4);
}

TEST(bad_addresses)
{
	static const char *const texts[] = {"", ":", "8080", "127.0.0.1",
		"127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1",
		"127.0.0.1:08", "127.1:80", "1.2.3.4.5:80", "256.1.1.1:80", "example.com:80",
		"::1:80", "[::1]", "[::1]80", "[::1", "[]:80", "[127.0.0.1]:80", "[localhost]:80",
		"[::1%nosuchif0]:80", "0x7f.1:80", " 127.0.0.1:80", "127.0.0.1:80 "};
	struct listener_addr a;
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (listener_parse(span_cstr(texts[i]), &a, &ei) != ERR_PARSE)
			FAIL("\"%s\" parses", texts[i]);
		CHECK(!a.is_any && a.port == 0);
	}
	CHECK_INT(listener_parse(span_of("127.0.0.1\0x:80", 14), &a, NULL), ERR_PARSE);
}

TEST(probe_resolves_the_port_and_meets_others)
{
	struct listener_addr a;
	struct listener_addr again;
	struct errinfo ei;
	int one = -1;
	int two = -1;

	CHECK_INT(listener_parse(SPAN_LIT("127.0.0.1:0"), &a, NULL), OK);
	CHECK_INT(listener_probe(&a, &ei), OK);
	CHECK(a.port != 0);
	CHECK_INT(listener_open(&a, &one, &ei), OK);
	CHECK_INT(listener_open(&a, &two, &ei), OK);
	/* Two loops share it; a second gateway, which probes first, does not. */
	again = a;
	CHECK_INT(listener_probe(&again, &ei), ERR_BUSY);
	close(one);
	close(two);
	CHECK_INT(listener_probe(&again, &ei), OK);
}

TEST(an_address_of_another_host)
{
	struct listener_addr a;
	struct errinfo ei;

	CHECK_INT(listener_parse(SPAN_LIT("192.0.2.1:0"), &a, NULL), OK);
	CHECK_INT(listener_probe(&a, &ei), ERR_IO);
	CHECK(ei.msg[0] != '\0');
}

/* [::] takes IPv4 too, as an address without a host has to. */
TEST(all_addresses_means_both_families)
{
	struct listener_addr a;
	struct errinfo ei;
	int fd = -1;

	CHECK_INT(listener_parse(SPAN_LIT(":0"), &a, NULL), OK);
	CHECK_INT(listener_probe(&a, &ei), OK);
	CHECK_INT(listener_open(&a, &fd, &ei), OK);
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(a.port)};
	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int client = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(connect(client, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	close(client);
	close(fd);
}

static bool
is_refused(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
		return addr_guard_is_link_local((struct sockaddr *)&in, sizeof(in));
	CHECK(inet_pton(AF_INET6, text, &in6.sin6_addr) == 1);
	return addr_guard_is_link_local((struct sockaddr *)&in6, sizeof(in6));
}

TEST(guarded_addresses)
{
	static const char *const refused[] = {"169.254.169.254", "169.254.0.0", "169.254.255.255",
		"100.100.100.200", "168.63.129.16", "192.0.0.192", "fe80::1", "febf::1",
		"fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "::169.254.169.254",
		"64:ff9b::169.254.169.254", "2002:a9fe:a9fe::"};
	static const char *const allowed[] = {"127.0.0.1", "10.0.0.1", "169.253.255.255",
		"169.255.0.0", "100.100.100.201", "8.8.8.8", "::1", "fec0::1", "fd00::1",
		"2001:db8::1", "::ffff:10.0.0.1", "fd00:ec2::253"};
	struct sockaddr unknown = {.sa_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		if (!is_refused(refused[i]))
			FAIL("%s is allowed", refused[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
		if (is_refused(allowed[i]))
			FAIL("%s is refused", allowed[i]);
	}
	CHECK(addr_guard_is_link_local(&unknown, sizeof(unknown)));
	CHECK(addr_guard_is_link_local((struct sockaddr *)&in, sizeof(in) - 1));
}

SUITE("net/listener", TEST_ROW(good_addresses), TEST_ROW(bad_addresses),
	TEST_ROW(probe_resolves_the_port_and_meets_others), TEST_ROW(an_address_of_another_host),
	TEST_ROW(all_addresses_means_both_families), TEST_ROW(guarded_addresses))
