/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening TCP sockets. An address is a literal or "localhost" with a port; nothing here asks
 * the DNS. Several loops listen on the same address with a socket each (SO_REUSEPORT). At start-
 * up, any thread.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

#define LISTENER_TEXT_MAX 64 /* "[ffff:...]:65535" with its NUL */

/* An address to listen on: a plain value. */
struct listener_addr {
	uint8_t bytes[16]; /* network order; 4 in use when is_ipv4 */
	uint32_t scope_id; /* of a link-local IPv6 address, else 0 */
	uint16_t port;     /* host order; 0: any free one */
	bool is_ipv4;
	bool is_any; /* no host was given, or 0.0.0.0 or [::] */
};

/* "127.0.0.1:8080", ":8080" (all addresses, IPv6 with IPv4, IPv4 alone where there is no IPv6),
 * "[::1]:0", "localhost:80" (127.0.0.1). ERR_PARSE, naming the text. */
MUSTCHECK enum err listener_parse(struct span text, struct listener_addr *out, struct errinfo *ei);
/* "127.0.0.1:8080" or "[::1]:8080" with a NUL. */
void listener_format(const struct listener_addr *a, char out[LISTENER_TEXT_MAX]);
/* Whether only this host can reach it. */
bool listener_is_loopback(const struct listener_addr *a);

/*
 * Binds without SO_REUSEPORT and lets go again, so that a second gateway on the same address is
 * told instead of sharing it. Resolves port 0: a->port is the free port then. ERR_BUSY (in use),
 * ERR_FORBIDDEN (permission), ERR_IO.
 */
MUSTCHECK enum err listener_probe(struct listener_addr *a, struct errinfo *ei);
/* A listening socket on a (after listener_probe): non-blocking, close-on-exec, SO_REUSEADDR,
 * SO_REUSEPORT, TCP_NODELAY (which accepted sockets inherit). Once for each loop. *out is the
 * caller's; -1 on failure. Errors as listener_probe. */
MUSTCHECK enum err listener_open(const struct listener_addr *a, int *out, struct errinfo *ei);

#endif
