/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transport knows of a client, kept with its connection so that it outlives the engine's. Must never
 * say more than was verified. Runs on the loop's thread.
 */
#include <string.h>

#include "server.h"

void
conn_peer_fill(struct conn *c)
{
	const char *address = engine_get_peer(c);
	size_t n = strnlen(address, sizeof(c->peer_address) - 1);

	memcpy(c->peer_address, address, n);
	c->peer_address[n] = '\0';
	c->peer.address = span_of(c->peer_address, n);
	c->peer.listener_roles = c->listener->options.roles;
}
