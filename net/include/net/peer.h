/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is at the other end of a connection, as the transport knows it: facts, no judgement. Of
 * http_request_view_peer (net/http_server.h). Spans live as long as the connection, and as long as a request
 * of it is unanswered. Read on the thread of its loop.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* What a listener answers; a route has one of them. */
enum listener_role {
	LISTENER_API = 1 << 0,
	LISTENER_UI = 1 << 1,
	LISTENER_METRICS = 1 << 2,
	LISTENER_ADMIN = 1 << 3,
	LISTENER_HEALTH = 1 << 4,
};

enum peer_kind { PEER_TCP = 0, PEER_UNIX };

/* A client whose certificate has more gets no connection. */
#define PEER_DNS_MAX 16

struct net_peer {
	enum peer_kind kind;
	/* Numeric address of the client: the socket's, or what a trusted proxy's PROXY header said; empty for PEER_UNIX. */
	struct span address;
	/* Numeric address of the trusted proxy whose PROXY header named the client; empty: none. */
	struct span proxy;
	bool is_tls;
	/* The client showed one, and it was verified against the listener's CA for client use; not that of a trusted proxy. */
	bool has_certificate;
	int64_t certificate_end_wall_ns; /* from then on it names nobody, on a connection that goes on */
	/* The one URI SAN of that certificate if it begins with spiffe://; else empty. */
	struct span spiffe_id;
	struct span dns[PEER_DNS_MAX]; /* DNS SANs, lower case */
	size_t n_dns;
	struct span common_name;
	bool has_process; /* PEER_UNIX: SO_PEERCRED below */
	uint32_t uid;
	uint32_t gid;
	int32_t pid;
	/* Bits of enum listener_role; 0 is all roles. */
	unsigned listener_roles;
};

#endif
