/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY header before the first request of a connection, where the listener wants one: only from trusted proxies, whole within the
 * deadline of a request's head, and without one the connection is closed without a word. Must never take a byte of a client for
 * a header, nor a header from anybody else. Runs on the loop's thread.
 */
#include <string.h>

#include <event2/buffer.h>

#include "base/log.h"
#include "base/metric.h"
#include "proxy_header.h"
#include "server.h"

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

void
conn_proxy_take(struct conn *c)
{
	struct proxy_header h;
	size_t n = evbuffer_get_length(c->held);
	size_t seen = n < PROXY_HEADER_BYTES_MAX ? n : PROXY_HEADER_BYTES_MAX;
	const unsigned char *bytes = evbuffer_pullup(c->held, (ev_ssize_t)seen);

	if (bytes == NULL) {
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	switch (proxy_header_read(span_of((const char *)bytes, seen), &h)) {
	case PROXY_MORE:
		return;
	case PROXY_REFUSED:
		note(c, "which did not begin with a PROXY header");
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	case PROXY_DONE:
		break;
	}
	evbuffer_drain(c->held, h.n);
	if (h.has_client && !become_client(c, &h.client)) {
		server_add_work(c, CONN_WORK_CLOSE);
		return;
	}
	/* Nobody says who it is: what it says of others is not believed. */
	if (!h.has_client)
		c->is_trusted = false;
	conn_set_state(c, CONN_IDLE, loop_now_ns(c->server->loop) + c->server->options.idle_ns);
}
