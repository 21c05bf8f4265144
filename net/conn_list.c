/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections of a server by state. Each state has one length of deadline, so each list is in
 * the order of deadlines, and the sweep looks only at those that are over. Must never let a
 * connection outlive its deadline by more than a sweep. Runs on the loop's thread.
 */
#include <stdint.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "server.h"
#include "tls_conn.h"

/* Rates are looked at so often, at the least. */
#define RATE_LOOK_NS NS_PER_SEC

/* The end of the server must not wait for a client that is slow on purpose. */
static int64_t
bound_deadline(const struct http_server *s, enum conn_state state, int64_t deadline_ns)
{
	int64_t bound = INT64_MAX;

	if (s->whole_by_ns == 0)
		return deadline_ns;
	if (state == CONN_PROXY || state == CONN_SHAKE || state == CONN_IDLE ||
		state == CONN_HEAD || state == CONN_BODY)
		bound = s->whole_by_ns;
	else if (state == CONN_WRITING || state == CONN_SENDING)
		bound = loop_now_ns(s->loop) + s->options.drain_ns;
	else if (state == CONN_LINGER)
		bound = loop_now_ns(s->loop) + s->options.drain_ns / 2;
	else if (state == CONN_PAUSED)
		bound = loop_now_ns(s->loop);
	return deadline_ns < bound ? deadline_ns : bound;
}

static struct conn_list *
list_of(struct conn *c)
{
	return c->state == CONN_QUEUED ? serve_queue_list(c) : &c->server->lists[c->state];
}

void
conn_leave_list(struct conn *c)
{
	struct conn_list *list = list_of(c);

	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		list->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		list->last = c->prev;
	list->n--;
	c->prev = NULL;
	c->next = NULL;
}

static void
join_list(struct conn *c)
{
	struct conn_list *list = list_of(c);

	c->prev = list->last;
	c->next = NULL;
	if (list->last != NULL)
		list->last->next = c;
	else
		list->first = c;
	list->last = c;
	list->n++;
}

void
conn_set_state(struct conn *c, enum conn_state state, int64_t deadline_ns)
{
	if (c->state != CONN_GONE)
		conn_leave_list(c);
	if (c->state == CONN_WRITING)
		c->server->n_writing--;
	if (state == CONN_WRITING)
		c->server->n_writing++;
	if (c->state == CONN_QUEUED)
		c->server->n_queued--;
	if (state == CONN_QUEUED)
		c->server->n_queued++;
	if (c->state != state) {
		c->since_ns = loop_now_ns(c->server->loop);
		if (c->tls != NULL && (state == CONN_WRITING || state == CONN_SENDING))
			c->wire_base = tls_conn_count_written(c->tls);
	}
	c->state = state;
	c->deadline_ns = bound_deadline(c->server, state, deadline_ns);
	if (state != CONN_GONE)
		join_list(c);
}

void
conn_hurry(struct conn *c)
{
	OBJ_CHECK(c, CONN_MAGIC);
	if (c->state == CONN_WRITING || c->state == CONN_SENDING)
		c->moved_seen = conn_count_taken(c);
	c->deadline_ns = bound_deadline(c->server, c->state, c->deadline_ns);
}

/* Bytes of what the state is about that the client has sent, or taken. */
static size_t
count_moved(const struct conn *c)
{
	if (c->state == CONN_HEAD)
		return c->framing.head.n;
	if (c->state == CONN_BODY)
		return c->framing.body.n;
	return conn_count_taken(c);
}

/* Whether it moved less than the least rate since the grace was over. */
static bool
is_too_slow(const struct conn *c, int64_t now)
{
	const struct http_server_options *o = &c->server->options;
	int64_t over_ms = (now - c->since_ns - o->rate_grace_ns) / NS_PER_MS;

	return over_ms > 0 && (int64_t)count_moved(c) < over_ms * (int64_t)o->min_rate / 1000;
}

void
conn_note_cut(struct conn *c)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	if (c->is_cut)
		return;
	metric_add(METRIC_REPLIES_CUT, 1);
	c->is_cut = true;
	if (log_limit(&limiter, &dropped))
		log_info(NULL, "closed %s, which does not take its reply (%llu more not logged)",
			engine_get_peer(c), (unsigned long long)dropped);
}

static void
cut_reply(struct conn *c)
{
	conn_note_cut(c);
	engine_close(c);
}

static void
end_slow(struct conn *c)
{
	if (c->state == CONN_HEAD)
		conn_refuse(c, GATE_HEADER_RATE);
	else if (c->state == CONN_BODY)
		conn_refuse(c, GATE_BODY_RATE);
	else
		cut_reply(c);
}

static void
look_at_rates(struct http_server *s, enum conn_state state, int64_t now)
{
	struct conn *next;

	for (struct conn *c = s->lists[state].first; c != NULL; c = next) {
		next = c->next;
		if (is_too_slow(c, now))
			end_slow(c);
	}
}

/* The reply's deadline: only a client that has taken nothing since the last look is cut. */
static void
check_writing(struct conn *c)
{
	struct http_server *s = c->server;
	size_t moved = conn_count_taken(c);

	if (moved == c->moved_seen) {
		cut_reply(c);
		return;
	}
	c->moved_seen = moved;
	conn_set_state(c, c->state, loop_now_ns(s->loop) + s->options.write_stall_ns);
}

static void
end_late(struct conn *c)
{
	switch (c->state) {
	case CONN_IDLE:
		metric_add(METRIC_CONNECTIONS_IDLE_CLOSED, 1);
		engine_close(c);
		return;
	case CONN_LINGER:
	case CONN_PROXY:
	case CONN_SHAKE:
		engine_close(c);
		return;
	case CONN_PAUSED:
		conn_go_on(c);
		return;
	case CONN_HEAD:
		conn_refuse(c, GATE_HEADER_DEADLINE);
		return;
	case CONN_BODY:
		conn_refuse(c, GATE_BODY_DEADLINE);
		return;
	case CONN_WRITING:
	case CONN_SENDING:
		check_writing(c);
		return;
	case CONN_STREAM:
	case CONN_QUEUED:
	case CONN_HANDED:
	case CONN_GONE:
	case CONN__STATES:
		return;
	}
}

/* The clients of requests that wait for their answer, or for more of it, are asked whether they are still there. */
static void
look_for_leavers(struct http_server *s, enum conn_state state)
{
	for (struct conn *c = s->lists[state].first; c != NULL; c = c->next) {
		if (c->req.closed_fn != NULL && conn_is_peer_closed(c))
			server_add_work(c, CONN_WORK_CLOSED);
	}
}

void
conn_list_sweep(struct http_server *s, int64_t now)
{
	static const enum conn_state timed[] = {CONN_PROXY, CONN_IDLE, CONN_HEAD, CONN_BODY,
		CONN_WRITING, CONN_LINGER, CONN_PAUSED, CONN_SENDING, CONN_SHAKE};

	for (size_t i = 0; i < ARRAY_LEN(timed); i++) {
		struct conn *next;
		for (struct conn *c = s->lists[timed[i]].first; c != NULL && c->deadline_ns <= now;
			c = next) {
			next = c->next;
			end_late(c);
		}
	}
	look_for_leavers(s, CONN_HANDED);
	look_for_leavers(s, CONN_STREAM);
	if (s->options.min_rate == 0 || now < s->next_rate_ns)
		return;
	s->next_rate_ns =
		now + (RATE_LOOK_NS < s->options.rate_grace_ns ? RATE_LOOK_NS : s->sweep_ns);
	look_at_rates(s, CONN_HEAD, now);
	look_at_rates(s, CONN_BODY, now);
	look_at_rates(s, CONN_WRITING, now);
	look_at_rates(s, CONN_SENDING, now);
}

void
conn_walk_begin(const struct http_server *s, struct conn_walk *w)
{
	static const enum conn_state waiting[] = {CONN_PROXY, CONN_IDLE, CONN_HEAD, CONN_BODY,
		CONN_WRITING, CONN_LINGER, CONN_PAUSED, CONN_SENDING, CONN_SHAKE};

	*w = (struct conn_walk){.next = {NULL}};
	for (size_t i = 0; i < ARRAY_LEN(waiting); i++)
		w->next[waiting[i]] = s->lists[waiting[i]].first;
}

struct conn *
conn_walk_step(struct conn_walk *w)
{
	struct conn *oldest = NULL;

	for (size_t i = 0; i < CONN__STATES; i++) {
		if (w->next[i] != NULL &&
			(oldest == NULL || w->next[i]->since_ns < oldest->since_ns))
			oldest = w->next[i];
	}
	if (oldest != NULL)
		w->next[oldest->state] = oldest->next;
	return oldest;
}
