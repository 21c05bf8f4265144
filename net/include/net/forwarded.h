/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What trusted proxies say of the client of a request: Forwarded (RFC 7239) and X-Forwarded-For. Read from the right, since each
 * proxy adds what it has seen at the end and everything before may be made up by the client. Pure; any thread.
 */
#ifndef NET_FORWARDED_H
#define NET_FORWARDED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "net/address.h"
#include "net/http.h"

/* A line with more elements is not judged. */
#define FORWARDED_HOPS_MAX 32

/*
 * The right-most address that is not of a trusted proxy, or the left-most when all are; peer, which is trusted, when no line is
 * there. Empty when it cannot be known: a line is malformed or hides who it was, or the two kinds of lines disagree (a proxy
 * writes one kind, and the other is the client's). Borrowed.
 */
struct span forwarded_find_client(const struct http_header *headers, size_t n,
	const struct trusted_proxies *trusted, struct span peer);
/* Whether the proxy that is nearest was asked by https, as X-Forwarded-Proto says. */
bool forwarded_is_https(const struct http_header *headers, size_t n);

#endif
