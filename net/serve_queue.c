/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole requests wait here for their turn of the loop. Reading a request costs little and serving it much, so each
 * turn reads whatever has come and then serves a slice: what came last and matters most is served before what came first.
 * Every rank has a part of the slice, or a flood of one would starve the others; a connection has one request in the
 * queue at most, so a client that sends many at once waits behind each of its neighbours. Runs on the loop's thread.
 */
#include "base/clock.h"
#include "base/must.h"
#include "server.h"

/* Of a rank in one turn, at most: in number, and in time, as some requests cost a hundred times what others do. */
#define SLICE_NS (2 * NS_PER_MS)

static const enum http_rank order[] = {HTTP_RANK_FIRST, HTTP_RANK_USUAL, HTTP_RANK_LAST};

static struct serve_queue *
queue_of(struct http_server *s, enum http_rank rank)
{
	MUST(rank < HTTP_RANK__MAX);
	return &s->queues[rank];
}

struct conn_list *
serve_queue_list(const struct conn *c)
{
	return &queue_of(c->server, c->place.rank)->flows[c->place.flow % SERVE_FLOWS];
}

void
serve_queue_place(struct conn *c)
{
	const struct http_server_options *o = &c->server->options;

	c->place = (struct http_place){0};
	if (o->place == NULL)
		return;
	/* It sees what a handler sees. */
	bool was_open = c->req.is_open;
	c->req.is_open = true;
	c->place = o->place(&c->req, c->server->arg);
	c->req.is_open = was_open;
}

struct http_queue_view
serve_queue_view(const struct conn *c, int64_t whole_ns)
{
	const struct serve_queue *q = queue_of(c->server, c->place.rank);
	const struct conn_list *flow = serve_queue_list(c);
	struct http_queue_view view = {.since_ns = whole_ns, .n_flow = flow->n, .n_flows = 1};

	if (whole_ns == 0)
		view.since_ns =
			flow->first != NULL ? flow->first->since_ns : loop_now_ns(c->server->loop);
	for (size_t i = 0; i < SERVE_FLOWS; i++)
		view.n_flows += q->flows[i].n > 0 && &q->flows[i] != flow ? 1 : 0;
	return view;
}

static void
run_soon(struct http_server *s)
{
	s->is_held = false;
	if (s->serves)
		return;
	s->serves = true;
	loop_defer(s->loop, &s->serve_msg);
}

void
serve_queue_put(struct conn *c)
{
	struct http_server *s = c->server;

	serve_queue_place(c);
	conn_set_state(c, CONN_QUEUED, INT64_MAX);
	struct serve_queue *q = queue_of(s, c->place.rank);
	q->waiting |= UINT64_C(1) << (c->place.flow % SERVE_FLOWS);
	run_soon(s);
}

void
serve_queue_wake(struct http_server *s)
{
	if (s->is_held)
		run_soon(s);
}

/* The flow whose turn it is; NULL when nobody waits. Flows that connections have left are forgotten. */
static struct conn_list *
take_flow(struct serve_queue *q)
{
	while (q->waiting != 0) {
		unsigned i = q->next;
		q->next = (q->next + 1) % SERVE_FLOWS;
		if ((q->waiting >> i & 1) == 0)
			continue;
		if (q->flows[i].first != NULL)
			return &q->flows[i];
		q->waiting &= ~(UINT64_C(1) << i);
	}
	return NULL;
}

static bool
may_serve(const struct http_server *s, enum http_rank rank)
{
	return rank == HTTP_RANK_FIRST || s->options.may_serve == NULL ||
	       s->options.may_serve(s->arg);
}

/* How many of them were served. */
static size_t
serve_slice(struct http_server *s, enum http_rank rank, size_t most)
{
	struct serve_queue *q = queue_of(s, rank);
	int64_t end_ns = clock_mono_ns() + SLICE_NS;
	size_t n = 0;

	while (n < most && q->waiting != 0) {
		if (!may_serve(s, rank)) {
			s->is_held = true;
			break;
		}
		struct conn_list *flow = take_flow(q);
		if (flow == NULL)
			break;
		conn_serve(flow->first);
		n++;
		if (clock_mono_ns() >= end_ns)
			break;
	}
	return n;
}

static bool
has_more(const struct http_server *s)
{
	for (size_t i = 0; i < HTTP_RANK__MAX; i++) {
		if (s->queues[i].waiting != 0)
			return true;
	}
	return false;
}

void
serve_queue_run(struct http_server *s)
{
	s->serves = false;
	s->is_held = false;
	size_t before = 0;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		size_t most = order[i] == HTTP_RANK_LAST && before > 0 ? SERVE_LAST : SERVE_SLICE;
		size_t n = serve_slice(s, order[i], most);
		before = order[i] == HTTP_RANK_USUAL ? n : before;
	}
	if (!has_more(s))
		return;
	if (s->is_held && s->queues[HTTP_RANK_FIRST].waiting == 0)
		return;
	s->serves = true;
	loop_defer_next(s->loop, &s->serve_msg);
}
