/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets in. Accepting pauses when the connections are at their cap, for the rest of a turn in
 * which many came, and while memory or descriptors are out. At the cap, the connection that has
 * waited longest for its client is closed in favour of those in the queue: were accepting merely
 * paused, whoever holds the connections would keep everybody else out. One that waits for less
 * than a second stays, or a quarter of one if it has not said a word: so a client that sends its
 * request at once is never cut, and a flood makes others wait for as many quarters of a second as
 * it fills the places. Runs on the loop's thread.
 */
#include <poll.h>

#include <event2/bufferevent.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "net/address_cap.h"
#include "server.h"
#include "tls_conn.h"

/* So many sockets are accepted in one turn of the loop, at most. */
#define ACCEPTS_PER_TURN 64
/* A TLS handshake keeps the loop for as long as so many accepts. */
#define HANDSHAKE_COST 8
/* So many connections are closed at once for new ones, at most. */
#define EVICTIONS 32
#define LOOKS 256
#define EVICT_AFTER_NS NS_PER_SEC
#define EVICT_SILENT_AFTER_NS (NS_PER_SEC / 4)

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

/* Whether not one byte has come: the first of an honest client come right behind its connection. */
static bool
is_silent(const struct conn *c)
{
	if (conn_has_held(c) || conn_has_unread(c))
		return false;
	if (c->tls == NULL)
		return c->state == CONN_PROXY || (c->state == CONN_IDLE && c->n_served == 0);
	return c->state == CONN_SHAKE && !c->listener->options.proxy_protocol &&
	       tls_conn_is_silent(c->tls);
}

/* Whether c has waited long enough to give way. */
static bool
may_evict(const struct conn *c, int64_t now)
{
	if (c->since_ns > now - EVICT_AFTER_NS)
		return is_silent(c);
	return !has_asked(c);
}

/* Closes those that have waited longest, of so many that are looked at. One that may stay keeps nobody behind it. */
static size_t
evict_oldest(struct http_server *s, size_t most)
{
	struct conn_walk walk;
	int64_t now = loop_now_ns(s->loop);
	size_t n = 0;

	conn_walk_begin(s, &walk);
	for (size_t looks = 0; looks < LOOKS && n < most; looks++) {
		struct conn *c = conn_walk_step(&walk);
		if (c == NULL || c->since_ns > now - EVICT_SILENT_AFTER_NS)
			break;
		if (!may_evict(c, now))
			continue;
		evict(c);
		n++;
	}
	return n;
}

static void
make_room(struct http_server *s)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;
	/* A few at once, but never many of few. */
	size_t most = 1 + s->options.max_connections / 16;
	size_t n = evict_oldest(s, most < EVICTIONS ? most : EVICTIONS);

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
room_stop_counting(struct conn *c)
{
	if (c->is_counted)
		address_cap_give(c->server->options.address_cap, &c->address);
	c->is_counted = false;
}

void
room_leave(struct conn *c)
{
	struct http_server *s = c->server;

	room_stop_counting(c);
	metric_add(METRIC_CONNECTIONS, -1);
	/* Within a turn that accepts, its end says what goes on. */
	if (is_full(s) && s->n_accepted == 0 && server_has_spares(s)) {
		s->is_paused = false;
		server_set_accepting(s, true);
	}
	s->n_conns--;
}
