/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Link-local and metadata addresses, judged by their bytes after resolving: what a name pointed
 * to a moment ago does not matter. Must never let an unknown family pass. Pure; any thread.
 */
#include "addr_guard.h"

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "base/attr.h"

/* The first n_bits of bytes; IPv4 ranges have 4 bytes. */
struct range {
	uint8_t bytes[16];
	unsigned n_bits;
};

static const struct range ranges4[] = {
	{{169, 254}, 16},           /* link-local, with the metadata of most clouds */
	{{100, 100, 100, 200}, 32}, /* Alibaba metadata */
	{{168, 63, 129, 16}, 32},   /* Azure wire server */
	{{192, 0, 0, 192}, 32},     /* Oracle metadata */
};

static const struct range ranges6[] = {
	{{0xfe, 0x80}, 10},                                                        /* link-local */
	{{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128}, /* AWS */
	{{0xfd, 0x20, 0x00, 0xce, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128}, /* Google */
};

/* IPv6 prefixes behind which an IPv4 address stands, and at which byte. */
static const struct {
	struct range range;
	size_t at;
} embeddings[] = {
	{{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},       /* mapped */
	{{{0}, 96}, 12},                                              /* compatible */
	{{{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 96}, 12}, /* NAT64 */
	{{{0x20, 0x02}, 16}, 2},                                      /* 6to4 */
};

static bool
is_in(const uint8_t *bytes, const struct range *r)
{
	size_t n = r->n_bits / 8;
	unsigned rest = r->n_bits % 8;

	if (memcmp(bytes, r->bytes, n) != 0)
		return false;
	return rest == 0 || (bytes[n] >> (8 - rest)) == (r->bytes[n] >> (8 - rest));
}

static bool
is_refused4(const uint8_t *bytes)
{
	for (size_t i = 0; i < ARRAY_LEN(ranges4); i++) {
		if (is_in(bytes, &ranges4[i]))
			return true;
	}
	return false;
}

static bool
is_refused6(const uint8_t *bytes)
{
	for (size_t i = 0; i < ARRAY_LEN(ranges6); i++) {
		if (is_in(bytes, &ranges6[i]))
			return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(embeddings); i++) {
		if (is_in(bytes, &embeddings[i].range) && is_refused4(bytes + embeddings[i].at))
			return true;
	}
	return false;
}

bool
addr_guard_is_link_local(const struct sockaddr *sa, size_t n)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (sa->sa_family == AF_INET && n >= sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		return is_refused4((const uint8_t *)&in.sin_addr);
	}
	if (sa->sa_family == AF_INET6 && n >= sizeof(in6)) {
		memcpy(&in6, sa, sizeof(in6));
		return is_refused6(in6.sin6_addr.s6_addr);
	}
	return true;
}
