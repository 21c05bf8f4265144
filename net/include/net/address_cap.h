/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each client address has, over all servers of a process, and the most it
 * may have. IPv6 clients are counted by their /64 network, which one host may own whole. Addresses
 * of trusted proxies are not counted: behind one stand many clients. Any thread.
 */
#ifndef NET_ADDRESS_CAP_H
#define NET_ADDRESS_CAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/address.h"

struct address_cap;

/* An address as it is counted: a plain value. */
struct address_key {
	uint8_t bytes[16]; /* IPv4 as ::ffff:a.b.c.d */
	bool is_free;      /* of a trusted proxy, or of no network */
};

/* max connections for each address, over 0; trusted networks are copied. ERR_NOMEM. */
MUSTCHECK enum err address_cap_new(size_t max, const struct address_network *trusted,
	size_t n_trusted, struct address_cap **out, struct errinfo *ei);
/* When no connection is counted any more. */
void address_cap_free(struct address_cap **cap);
/* Counts the peer of socket fd; false when it has its share already, or memory is out. */
MUSTCHECK bool address_cap_take(struct address_cap *cap, int fd, struct address_key *key);
/* The same for the address that a trusted proxy has said. */
MUSTCHECK bool address_cap_take_address(
	struct address_cap *cap, const struct address *a, struct address_key *key);
/* The connection has gone. */
void address_cap_give(struct address_cap *cap, const struct address_key *key);

#endif
