/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY header before the first request of a connection, or its handshake, where the listener wants one: only from trusted proxies,
 * whole within the deadline of a request's head, and without one the connection is closed without a word. Must never take a byte of a client for
 * a header, nor a header from anybody else. Runs on the loop's thread.
 */
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "proxy_header.h"
#include "server.h"
#include "tls_conn.h"

static void
note(const struct conn *c, const char *why)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	metric_add(METRIC_CONNECTIONS_REFUSED, 1);
	if (log_limit(&limiter, &dropped))
		log_info(NULL, "closed a connection of %s, %s (%llu more not logged)",
			c->peer.kind == PEER_UNIX ? "a unix socket" : c->peer_address, why,
			(unsigned long long)dropped);
}

bool
conn_proxy_may_speak(const struct conn *c)
{
	if (!c->listener->options.proxy_protocol || c->is_trusted)
		return true;
	note(c, "which is not among gateway.trusted_proxies, on a listener for the PROXY protocol");
	return false;
}

/* The address that the header names takes the place of the socket's. */
static bool
become_client(struct conn *c, const struct address *client)
{
	_Static_assert(sizeof(c->proxy_address) >= PEER_ADDRESS_MAX, "it takes the other's place");
	memcpy(c->proxy_address, c->peer_address, sizeof(c->peer_address));
	c->peer.proxy = span_cstr(c->proxy_address);
	c->peer.kind = PEER_TCP;
	c->peer.has_process = false;
	address_format(client, c->peer_address);
	c->peer.address = span_cstr(c->peer_address);
	conn_judge_peer(c);
	return room_admit_client(c, client);
}

/* Once the header is whole, *n of the bytes, the connection is idle, or its handshake begins. */
static enum proxy_verdict
take(struct conn *c, struct span bytes, size_t *n)
{
	struct proxy_header h;
	enum proxy_verdict verdict = proxy_header_read(bytes, &h);

	if (verdict == PROXY_REFUSED)
		note(c, "which did not begin with a PROXY header");
	if (verdict != PROXY_DONE)
		return verdict;
	*n = h.n;
	if (h.has_client && !become_client(c, &h.client))
		return PROXY_REFUSED;
	/* Nobody says who it is: what it says of others is not believed. */
	if (!h.has_client)
		c->is_trusted = false;
	conn_shake_begin(c);
	return PROXY_DONE;
}

void
conn_proxy_take(struct conn *c)
{
	size_t n = evbuffer_get_length(c->held);
	size_t seen = n < PROXY_HEADER_BYTES_MAX ? n : PROXY_HEADER_BYTES_MAX;
	const unsigned char *bytes = evbuffer_pullup(c->held, (ev_ssize_t)seen);
	enum proxy_verdict verdict = PROXY_REFUSED;

	if (bytes != NULL)
		verdict = take(c, span_of((const char *)bytes, seen), &n);
	if (verdict == PROXY_REFUSED)
		server_add_work(c, CONN_WORK_CLOSE);
	else if (verdict == PROXY_DONE)
		evbuffer_drain(c->held, n);
}

/* The connection must not be closed in here: a refusal makes the handshake fail. */
static enum tls_preamble
on_preamble(void *arg, struct span bytes, size_t *n)
{
	struct conn *c;

	OBJ_CAST(c, arg, CONN_MAGIC);
	MUST(c->state == CONN_PROXY);
	switch (take(c, bytes, n)) {
	case PROXY_MORE:
		return TLS_PREAMBLE_MORE;
	case PROXY_DONE:
		return TLS_PREAMBLE_DONE;
	case PROXY_REFUSED:
		break;
	}
	return TLS_PREAMBLE_REFUSED;
}

bool
conn_proxy_begin(struct conn *c)
{
	_Static_assert(PROXY_HEADER_BYTES_MAX <= TLS_PREAMBLE_BYTES_MAX, "a header fits");
	if (c->tls == NULL || !c->listener->options.proxy_protocol)
		return true;
	return tls_conn_expect_preamble(c->tls, bufferevent_getfd(c->bev), on_preamble, c);
}
