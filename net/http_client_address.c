/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who the client of a request is, behind the proxies that are trusted. What anybody else says of it changes nothing. Runs on the loop's thread. */
#include "base/must.h"
#include "net/forwarded.h"
#include "server.h"

void
conn_judge_peer(struct conn *c)
{
	const struct trusted_proxies *trusted = c->server->options.trusted;

	/* A client that a PROXY header has named has an address, whatever the socket is. */
	if (trusted == NULL)
		c->is_trusted = false;
	else if (c->peer.kind == PEER_UNIX && c->peer.address.n == 0)
		c->is_trusted = trusted->has_unix;
	else
		c->is_trusted = trusted_proxies_has(trusted, c->peer.address);
}

struct span
http_request_find_client(const struct http_request *req)
{
	const struct conn *c = req->conn;
	const struct http_header *headers = NULL;

	if (!c->is_trusted)
		return c->peer.address;
	size_t n = http_request_get_headers(req, &headers);
	return forwarded_find_client(headers, n, c->server->options.trusted, c->peer.address);
}

bool
http_request_is_secure(const struct http_request *req)
{
	const struct conn *c = req->conn;
	const struct http_header *headers = NULL;

	if (c->peer.is_tls || !c->is_trusted)
		return c->peer.is_tls;
	size_t n = http_request_get_headers(req, &headers);
	return forwarded_is_https(headers, n);
}
