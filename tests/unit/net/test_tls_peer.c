/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The names that a certificate has, and one that has more than there is room for. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/address.h"
#include "net/peer.h"
#include "rig_tls.h"
#include "server.h"
#include "tls_priv.h"

/* A certificate of n DNS names, "a0" and so on, read into *peer. */
static bool
read_names(size_t n, struct net_peer *peer, char **text)
{
	char names[1024] = "URI:spiffe://example.org/x";
	EVP_PKEY *key = NULL;

	for (size_t i = 0; i < n; i++) {
		size_t at = strlen(names);
		snprintf(names + at, sizeof(names) - at, ",DNS:A%zu", i);
	}
	const struct rig_cert wanted = {.common_name = "peer", .alternatives = names};
	X509 *x = rig_make_cert(&wanted, &key);
	*peer = (struct net_peer){.n_dns = 0};
	*text = NULL;
	bool is_read = tls_peer_read(x, peer, text);
	X509_free(x);
	EVP_PKEY_free(key);
	return is_read;
}

TEST(as_many_names_as_there_is_room_for)
{
	struct net_peer peer;
	char *text;

	CHECK(read_names(PEER_DNS_MAX, &peer, &text));
	CHECK_INT(peer.n_dns, PEER_DNS_MAX);
	CHECK_SPAN(peer.dns[PEER_DNS_MAX - 1], "a15");
	CHECK_SPAN(peer.spiffe_id, "spiffe://example.org/x");
	mem_free(text);
}

/* The name of a proxy that is trusted may be the one that would be left out. */
TEST(one_name_too_many_is_refused)
{
	struct net_peer peer;
	char *text;

	CHECK(!read_names(PEER_DNS_MAX + 1, &peer, &text));
	CHECK(!peer.has_certificate && text == NULL);
}

static bool
is_of_proxy(const struct net_peer *peer, const struct trusted_proxies *trusted)
{
	struct http_server server = {.options = {.trusted = trusted}};
	struct conn c = {.server = &server, .peer = *peer};
	struct http_request request = {.conn = &c, .is_open = true};

	conn_judge_certificate(&c);
	return http_request_is_of_proxy(&request);
}

/* Verified while it was good, and read when it had ended: that is not one without an end. */
TEST(a_certificate_that_ends_in_its_own_handshake_names_nobody)
{
	struct rig_cert wanted = {.common_name = "peer", .alternatives = "DNS:proxy.example"};
	struct trusted_proxies trusted = {.n = 0};
	struct errinfo ei;

	CHECK_INT(trusted_proxies_add(&trusted, SPAN_LIT("dns:proxy.example"), &ei), OK);
	for (int is_over = 0; is_over < 2; is_over++) {
		struct net_peer peer = {.n_dns = 0};
		EVP_PKEY *key = NULL;
		char *text = NULL;

		wanted.ends_s = is_over ? -1 : 60;
		X509 *x = rig_make_cert(&wanted, &key);
		CHECK(tls_peer_read(x, &peer, &text));
		CHECK_INT(peer.certificate_end_wall_ns > 0, !is_over);
		CHECK_INT(is_of_proxy(&peer, &trusted), !is_over);
		X509_free(x);
		EVP_PKEY_free(key);
		mem_free(text);
	}
}

SUITE("tls_peer", TEST_ROW(as_many_names_as_there_is_room_for),
	TEST_ROW(one_name_too_many_is_refused),
	TEST_ROW(a_certificate_that_ends_in_its_own_handshake_names_nobody))
