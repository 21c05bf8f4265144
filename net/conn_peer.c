/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transport knows of a client, kept with its connection so that it outlives the engine's. Must never
 * say more than was verified. Runs on the loop's thread.
 */
#define _GNU_SOURCE /* struct ucred */

#include <string.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>

#include "server.h"

static bool
is_unix(int fd)
{
	int domain = 0;
	socklen_t n = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 && domain == AF_UNIX;
}

/* The process that has connected, as it was then. */
static void
fill_process(struct net_peer *peer, int fd)
{
	struct ucred who;
	socklen_t n = sizeof(who);

	peer->kind = PEER_UNIX;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) != 0 || n != sizeof(who))
		return;
	peer->has_process = true;
	peer->uid = who.uid;
	peer->gid = who.gid;
	peer->pid = who.pid;
}

void
conn_peer_fill(struct conn *c)
{
	int fd = bufferevent_getfd(c->bev);
	/* The engine makes up a name for who has no address. */
	const char *address = is_unix(fd) ? "" : engine_get_peer(c);
	size_t n = strnlen(address, sizeof(c->peer_address) - 1);

	memcpy(c->peer_address, address, n);
	c->peer_address[n] = '\0';
	c->peer.address = span_of(c->peer_address, n);
	if (is_unix(fd))
		fill_process(&c->peer, fd);
	c->peer.listener_roles = c->listener->options.roles;
	conn_judge_peer(c);
	/* A trusted process is a proxy: who asks is somebody else. */
	if (c->is_trusted)
		c->peer.has_process = false;
}
