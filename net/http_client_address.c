/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who the client of a request is, behind the proxies that are trusted. What anybody else says of it changes nothing. Runs on the loop's thread. */
#include "base/clock.h"
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

static bool
names_proxy(const struct net_peer *peer, const struct trusted_proxies *trusted)
{
	bool is_one = trusted_proxies_has_spiffe_id(trusted, peer->spiffe_id);

	for (size_t i = 0; i < peer->n_dns && !is_one; i++)
		is_one = trusted_proxies_has_dns_name(trusted, peer->dns[i]);
	return is_one;
}

void
conn_judge_certificate(struct conn *c)
{
	const struct trusted_proxies *trusted = c->server->options.trusted;

	if (trusted == NULL || !c->peer.has_certificate || !names_proxy(&c->peer, trusted))
		return;
	if (!c->is_trusted)
		/* Never 0, which is endless: what has ended while it was shown has ended. */
		c->trust_end_wall_ns =
			c->peer.certificate_end_wall_ns > 0 ? c->peer.certificate_end_wall_ns : 1;
	c->is_trusted = true;
	/* Only now is it known to be one that has no cap. */
	room_stop_counting(c);
	/* A proxy: who asks is somebody else. */
	c->peer.has_certificate = false;
	c->peer.spiffe_id = SPAN_NONE;
	c->peer.common_name = SPAN_NONE;
	c->peer.n_dns = 0;
}

/* No longer than the certificate that says so. */
static bool
is_trusted(const struct conn *c)
{
	return c->is_trusted &&
	       (c->trust_end_wall_ns == 0 || clock_wall_ns() < c->trust_end_wall_ns);
}

struct span
http_request_find_client(const struct http_request *req)
{
	const struct conn *c = req->conn;
	const struct http_header *headers = NULL;

	if (!is_trusted(c))
		return c->peer.address;
	size_t n = http_request_get_headers(req, &headers);
	return forwarded_find_client(headers, n, c->server->options.trusted, c->peer.address);
}

bool
http_request_is_of_proxy(const struct http_request *req)
{
	struct span client = http_request_find_client(req);

	return is_trusted(req->conn) &&
	       (span_eq(client, req->conn->peer.address) ||
		       trusted_proxies_has(req->conn->server->options.trusted, client));
}

bool
http_request_is_secure(const struct http_request *req)
{
	const struct conn *c = req->conn;
	const struct http_header *headers = NULL;

	if (c->peer.is_tls || !is_trusted(c))
		return c->peer.is_tls;
	size_t n = http_request_get_headers(req, &headers);
	return forwarded_is_https(headers, n);
}
