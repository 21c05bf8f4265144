/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Numeric addresses of hosts and the networks they are in. Nothing here asks the DNS. Pure; any thread. */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct sockaddr;

#define ADDRESS_TEXT_MAX 48 /* of an IPv6 address, with its NUL */

/* An address of IPv4 (as ::ffff:a.b.c.d) or IPv6: a plain value. */
struct address {
	uint8_t bytes[16];
};

/* "10.0.0.1", "2001:db8::1"; nothing else: no port, no brackets, no zone. */
MUSTCHECK bool address_parse(struct span text, struct address *out);
/* Of a socket's address; false when it is neither of IPv4 nor of IPv6. */
MUSTCHECK bool address_of_sockaddr(const struct sockaddr *sa, struct address *out);
bool address_is_ipv4(const struct address *a);
/* As address_parse reads it, the shortest form, with a NUL. */
void address_format(const struct address *a, char out[ADDRESS_TEXT_MAX]);

/* Addresses or networks, "10.0.0.0/8", "::1", "2001:db8::/32". */
#define ADDRESS_NETWORK_TEXT_MAX 64
struct address_network {
	uint8_t bytes[16];
	unsigned n_bits; /* of the 128 */
};
/* ERR_PARSE, naming the text. */
MUSTCHECK enum err address_network_parse(
	struct span text, struct address_network *out, struct errinfo *ei);
bool address_is_in(const struct address *a, const struct address_network *v, size_t n);

/* The client's /64 of an IPv6 address, which one host may own whole; an IPv4 address as it is. */
void address_cut_host(struct address *a);

/* The peers that gateway.trusted_proxies names. */
#define TRUSTED_PROXIES_MAX 64
struct trusted_proxies {
	struct address_network v[TRUSTED_PROXIES_MAX];
	size_t n;
	bool has_unix; /* "unix:": whoever may connect to a unix socket of ours */
	struct span names[TRUSTED_PROXIES_MAX]; /* in client certificates, as they were added */
	size_t n_names;
};
/* Adds what text says: one that address_network_parse reads, "unix:", or a name in a client certificate, "spiffe://DOMAIN/PATH" or
 * "dns:NAME", which is borrowed. ERR_PARSE; ERR_TOO_LARGE. */
MUSTCHECK enum err trusted_proxies_add(
	struct trusted_proxies *t, struct span text, struct errinfo *ei);
/* Whether text is an address among them. */
bool trusted_proxies_has(const struct trusted_proxies *t, struct span text);
/* Whether this SPIFFE id, exactly so, or this DNS name, without case, is among them. */
bool trusted_proxies_has_spiffe_id(const struct trusted_proxies *t, struct span id);
bool trusted_proxies_has_dns_name(const struct trusted_proxies *t, struct span name);

#endif
