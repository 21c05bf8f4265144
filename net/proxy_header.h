/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of the PROXY protocol, version 1 (text) or 2 (binary), that a load balancer puts before the first byte of a connection
 * (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt). Strict: what the document does not allow is refused. Pure; any thread.
 */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "net/address.h"

/* The whole header of version 2, with room for the certificate's names that proxies put into it; version 1 has its own limit. */
#define PROXY_HEADER_BYTES_MAX 4096

enum proxy_verdict {
	PROXY_REFUSED = 0, /* cannot become a header any more */
	PROXY_MORE,        /* a header so far */
	PROXY_DONE,
};

struct proxy_header {
	size_t n;        /* its bytes */
	bool has_client; /* else the proxy speaks for itself, or does not know: the socket's peer it is */
	struct address client;
};

/* Reads a header at the beginning of bytes. *out is only set by PROXY_DONE. */
enum proxy_verdict proxy_header_read(struct span bytes, struct proxy_header *out);

#endif
