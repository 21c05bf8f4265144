/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets in. Accepting pauses when the connections are at their cap, for the rest of a turn in
 * which many came, and while memory or descriptors are out. At the cap, the connection that has
 * waited longest for its client is closed in favour of those in the queue: were accepting merely
 * paused, whoever holds the connections would keep everybody else out. One that waits for less
 * than a second stays, so a client that sends its request at once is never cut, and a flood only
 * makes others wait for a second. Runs on the loop's thread.
 */
#include <poll.h>

#include <event2/bufferevent.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "net/address_cap.h"
#include "server.h"

/* So many sockets are accepted in one turn of the loop, at most. */
#define ACCEPTS_PER_TURN 64
/* A TLS handshake keeps the loop for as long as so many accepts. */
#define HANDSHAKE_COST 8
/* So many connections are closed at once for new ones, at most. */
#define EVICTIONS 32
#define EVICT_AFTER_NS NS_PER_SEC

static bool
is_full(const struct http_server *s)
{
	return s->options.max_connections > 0 && s->n_conns >= s->options.max_connections;
}

static void
pause_accepting(struct http_server *s)
{
	s->is_paused = true;
	server_set_accepting(s, false);
}

void
room_take(struct conn *c)
{
	struct http_server *s = c->server;

	metric_add(METRIC_CONNECTIONS, 1);
	s->n_conns++;
	s->n_accepted += c->tls != NULL ? HANDSHAKE_COST : 1;
	if (s->n_conns == 1)
		server_arm_sweep(s, s->sweep_ns);
	if (!server_prepare(s) || s->n_accepted >= ACCEPTS_PER_TURN || is_full(s))
		pause_accepting(s);
}

/* Whether a connection waits to be accepted. */
bool
room_has_queued(const struct http_server *s)
{
	struct pollfd p[HTTP_SERVER_LISTENERS_MAX];

	if (!s->is_accepting)
		return false;
	for (size_t i = 0; i < s->n_listeners; i++)
		p[i] = (struct pollfd){.fd = s->listeners[i]->fd, .events = POLLIN};
	return poll(p, s->n_listeners, 0) > 0;
}

static void
evict(struct conn *c)
{
	metric_add(METRIC_CONNECTIONS_EVICTED, 1);
	if (c->state == CONN_HEAD || c->state == CONN_BODY)
		conn_cut(c, GATE_CROWDED);
	else
		engine_close(c);
}

/* Whether the client waits for us: its next request is here and was not looked at yet. */
static bool
has_asked(const struct conn *c)
{
	return (c->state == CONN_IDLE || c->state == CONN_PAUSED) &&
	       (conn_has_held(c) || conn_has_unread(c));
}

/* Whether c has waited long enough to give way. */
static bool
may_evict(const struct conn *c, int64_t now)
{
	return c->since_ns <= now - EVICT_AFTER_NS && !has_asked(c);
}

/* Closes those that have waited longest. */
static void
make_room(struct http_server *s)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;
	int64_t now = loop_now_ns(s->loop);
	/* A few at once, but never many of few. */
	size_t most = 1 + s->options.max_connections / 16;
	size_t n = 0;

	for (; n < most && n < EVICTIONS; n++) {
		struct conn *c = conn_list_find_oldest(s);
		if (c == NULL || !may_evict(c, now))
			break;
		evict(c);
	}
	if (log_limit(&limiter, &dropped))
		log_warn(NULL,
			"%zu connections are the most (gateway.max_connections, open files); "
			"closed %zu that waited longest (%llu more times not logged)",
			s->options.max_connections, n, (unsigned long long)dropped);
}

void
room_resume(struct http_server *s)
{
	bool has_spare = server_prepare(s);

	s->n_accepted = 0;
	if (is_full(s) && room_has_queued(s))
		make_room(s);
	s->is_paused = is_full(s) || !has_spare;
	server_set_accepting(s, !s->is_paused);
}

/* Says that the address of c has its share. */
static void
note_full_address(const struct conn *c)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	metric_add(METRIC_CONNECTIONS_REFUSED, 1);
	if (log_limit(&limiter, &dropped))
		log_info(NULL,
			"closed a connection of %s, which has as many as one address may "
			"(%llu more not logged)",
			c->peer_address, (unsigned long long)dropped);
}

bool
room_admit(struct conn *c)
{
	struct address_cap *cap = c->server->options.address_cap;

	if (cap == NULL)
		return true;
	c->is_counted = address_cap_take(cap, bufferevent_getfd(c->bev), &c->address);
	if (!c->is_counted)
		note_full_address(c);
	return c->is_counted;
}

bool
room_admit_client(struct conn *c, const struct address *client)
{
	struct address_cap *cap = c->server->options.address_cap;

	if (cap == NULL)
		return true;
	if (c->is_counted)
		address_cap_give(cap, &c->address);
	c->is_counted = address_cap_take_address(cap, client, &c->address);
	if (!c->is_counted)
		note_full_address(c);
	return c->is_counted;
}

void
room_leave(struct conn *c)
{
	struct http_server *s = c->server;

	if (c->is_counted)
		address_cap_give(s->options.address_cap, &c->address);
	c->is_counted = false;
	metric_add(METRIC_CONNECTIONS, -1);
	/* Within a turn that accepts, its end says what goes on. */
	if (is_full(s) && s->n_accepted == 0 && server_has_spares(s)) {
		s->is_paused = false;
		server_set_accepting(s, true);
	}
	s->n_conns--;
}
