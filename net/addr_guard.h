/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Which addresses an outgoing connection must not have. Pure; any thread. */
#ifndef NET_ADDR_GUARD_H
#define NET_ADDR_GUARD_H

#include <stdbool.h>
#include <stddef.h>

struct sockaddr;

/*
 * Whether the address is link-local (RFC 3927, RFC 4291 2.5.6) or where a cloud serves machine
 * credentials; also when an IPv4 one stands inside an IPv6 one (mapped, compatible, NAT64, 6to4).
 * True as well for families other than IP and for addresses shorter than their family's.
 */
bool addr_guard_is_link_local(const struct sockaddr *sa, size_t n);

#endif
