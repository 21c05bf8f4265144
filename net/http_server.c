/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as a whole: options, the sweep that keeps deadlines, work
 * put off to the end of the turn, draining. Must never free a connection that the engine may
 * still call back about. Runs on the loop's thread.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "server.h"

#define HEADERS_BYTES_MAX (1024 * 1024)
#define BODY_BYTES_MAX (64 * 1024 * 1024)
#define HEADERS_MAX 1000
#define RATE_MAX 1000000
/* Deadlines are looked at so often: a quarter of the shortest, within these. */
#define SWEEP_MIN_NS (10 * NS_PER_MS)
#define SWEEP_MAX_NS (250 * NS_PER_MS)
#define SWEEP_UNUSED_NS NS_PER_SEC
/* After stop_accepting: how long what has queued may be taken, and how often is looked. */
#define STOP_NS NS_PER_SEC
#define STOP_LOOK_NS NS_PER_MS
/* At the end a connection that has not been used has so long for its first request, from accept or the end of its handshake. */
#define FRESH_NS NS_PER_SEC
#define SCRATCH_BYTES_MAX (64 * 1024)

void
http_server_options_init(struct http_server_options *o)
{
	*o = (struct http_server_options){
		.max_headers_bytes = 16 * 1024,
		.max_headers = 100,
		.max_line_bytes = 8 * 1024,
		.max_body_bytes = 64 * 1024,
		.max_requests_per_connection = 10000,
		.min_rate = 256,
		.rate_grace_ns = 5 * NS_PER_SEC,
		.header_deadline_ns = 10 * NS_PER_SEC,
		.body_deadline_ns = 30 * NS_PER_SEC,
		.idle_ns = 75 * NS_PER_SEC,
		.write_stall_ns = 30 * NS_PER_SEC,
		.drain_ns = 5 * NS_PER_SEC,
	};
}

static enum err
check_options(const struct http_server_options *o, struct errinfo *ei)
{
	if (o->max_headers_bytes == 0 || o->max_headers_bytes > HEADERS_BYTES_MAX)
		return ERR(ei, ERR_INVALID, "header bytes are outside 1..%d", HEADERS_BYTES_MAX);
	if (o->max_line_bytes == 0)
		return ERR(ei, ERR_INVALID, "bytes of the request line are 0");
	if (o->max_headers == 0 || o->max_headers > HEADERS_MAX)
		return ERR(ei, ERR_INVALID, "number of headers is outside 1..%d", HEADERS_MAX);
	if (o->max_body_bytes > BODY_BYTES_MAX)
		return ERR(ei, ERR_INVALID, "body bytes are over %d", BODY_BYTES_MAX);
	if (o->header_deadline_ns <= 0 || o->body_deadline_ns <= 0 || o->idle_ns <= 0 ||
		o->write_stall_ns <= 0 || o->drain_ns <= 0)
		return ERR(ei, ERR_INVALID, "a deadline is not positive");
	if (o->min_rate > RATE_MAX || o->rate_grace_ns < 0)
		return ERR(ei, ERR_INVALID, "the least rate is over %d", RATE_MAX);
	return OK;
}

static int64_t
min_ns(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
choose_sweep(const struct http_server_options *o)
{
	int64_t shortest = min_ns(min_ns(o->header_deadline_ns, o->body_deadline_ns),
		min_ns(o->idle_ns, o->write_stall_ns));

	shortest = min_ns(shortest, o->drain_ns);
	if (o->min_rate > 0 && o->rate_grace_ns > 0)
		shortest = min_ns(shortest, o->rate_grace_ns);
	shortest /= 4;
	return shortest < SWEEP_MIN_NS ? SWEEP_MIN_NS : min_ns(shortest, SWEEP_MAX_NS);
}

const char *
server_get_date(struct http_server *s)
{
	int64_t now = clock_wall_ns();

	if (s->date[0] == '\0' || now / NS_PER_SEC != s->date_s) {
		clock_format_http(now, s->date);
		s->date_s = now / NS_PER_SEC;
	}
	return s->date;
}

static void
do_work(struct conn *c)
{
	unsigned work = c->work;
	struct http_request *req = &c->req;

	c->work = 0;
	c->is_ready = false;
	if ((work & CONN_WORK_ADOPT) != 0 && c->state != CONN_GONE && !engine_adopt(c))
		return;
	if ((work & CONN_WORK_CLOSED) != 0 && req->is_open && req->closed_fn != NULL) {
		http_closed_fn fn = req->closed_fn;
		req->closed_fn = NULL;
		/* It may answer, which would free a connection that is gone. */
		c->is_pinned = true;
		fn(req, req->closed_arg);
		c->is_pinned = false;
	}
	if ((work & CONN_WORK_DRAINED) != 0)
		conn_stream_drained(c);
	if ((work & CONN_WORK_FLUSH) != 0 && c->state == CONN_WRITING) {
		c->is_pinned = true;
		engine_flush(c);
		c->is_pinned = false;
	}
	if ((work & CONN_WORK_CLOSE) != 0 && c->state != CONN_GONE) {
		engine_close(c);
		return;
	}
	if ((work & CONN_WORK_PAUSE) != 0 && c->state != CONN_GONE)
		conn_pause(c);
	if ((work & CONN_WORK_RESUME) != 0 && c->state != CONN_GONE)
		conn_resume(c);
	else
		conn_release(c);
}

/* The messages of one that was freed come back to it once more. */
static void
end_dead(struct http_server *s)
{
	if (!s->is_dead || s->has_work || s->serves)
		return;
	s->magic = 0;
	mem_free(s);
}

static void
run_work(struct loop_msg *msg)
{
	void *at = (char *)msg - offsetof(struct http_server, work_msg);
	struct http_server *s;

	OBJ_CAST(s, at, SERVER_MAGIC);
	s->has_work = false;
	while (s->ready != NULL) {
		struct conn *c = s->ready;
		s->ready = c->next_ready;
		do_work(c);
	}
	if (s->n_accepted > 0 && !s->is_dead)
		room_resume(s);
	end_dead(s);
}

static void
run_serve(struct loop_msg *msg)
{
	void *at = (char *)msg - offsetof(struct http_server, serve_msg);
	struct http_server *s;

	OBJ_CAST(s, at, SERVER_MAGIC);
	serve_queue_run(s);
	end_dead(s);
}

void
server_add_work(struct conn *c, enum conn_work work)
{
	struct http_server *s = c->server;

	c->work |= work;
	if (!c->is_ready) {
		c->is_ready = true;
		c->next_ready = s->ready;
		s->ready = c;
	}
	if (!s->has_work) {
		s->has_work = true;
		loop_defer(s->loop, &s->work_msg);
	}
}

void
server_arm_sweep(struct http_server *s, int64_t delay_ns)
{
	s->sweep_late_ns = loop_now_ns(s->loop) + delay_ns + SWEEP_MAX_NS;
	loop_timer_arm(s->sweep_timer, delay_ns);
}

/* A process that was stopped or had no processor: what clients have sent in time is unread still. One turn reads it, so
 * deadlines wait for the next sweep; not longer, or a busy machine would have none. */
static bool
is_after_a_pause(struct http_server *s, int64_t now)
{
	s->was_late = !s->was_late && now > s->sweep_late_ns;
	return s->was_late;
}

/* Keeps the deadlines of all connections: coarse, but nearly free of cost for each request. Also
 * ends pauses of accepting. */
static void
sweep(void *arg)
{
	struct http_server *s;

	OBJ_CAST(s, arg, SERVER_MAGIC);
	int64_t now = loop_now_ns(s->loop);
	if (!is_after_a_pause(s, now))
		conn_list_sweep(s, now);
	room_resume(s);
	serve_queue_wake(s);
	server_arm_sweep(s, s->n_conns > 0 ? s->sweep_ns : SWEEP_UNUSED_NS);
}

/* Closes the listening sockets once nothing has queued on them; else the loop takes it and this
 * looks again. */
static void
try_stop(struct http_server *s)
{
	if (room_has_queued(s) && clock_mono_ns() < s->stop_deadline_ns)
		loop_timer_arm(s->stop_timer, STOP_LOOK_NS);
	else
		server_close_listeners(s);
}

static void
on_stop_timer(void *arg)
{
	struct http_server *s;

	OBJ_CAST(s, arg, SERVER_MAGIC);
	try_stop(s);
}

enum err
http_server_new(struct loop *loop, const struct http_server_options *options,
	http_handler_fn handler, void *arg, struct http_server **out, struct errinfo *ei)
{
	*out = NULL;
	enum err rc = check_options(options, ei);
	if (rc != OK)
		return rc;
	struct http_server *s = mem_zalloc(1, sizeof(*s));
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->magic = SERVER_MAGIC;
	s->loop = loop;
	s->options = *options;
	s->handler = handler;
	s->arg = arg;
	s->work_msg.run = run_work;
	s->serve_msg.run = run_serve;
	s->sweep_ns = choose_sweep(options);
	s->limits = (struct framing_limits){
		.max_headers_bytes = options->max_headers_bytes,
		.max_line_bytes = options->max_line_bytes,
		.max_headers = options->max_headers,
		.max_body_bytes = options->max_body_bytes,
	};
	buf_init(&s->scratch, SCRATCH_BYTES_MAX);
	s->stop_timer = loop_timer_new(loop, on_stop_timer, s);
	s->sweep_timer = loop_timer_new(loop, sweep, s);
	if (s->stop_timer == NULL || s->sweep_timer == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc != OK)
		http_server_free(&s);
	else
		server_arm_sweep(s, SWEEP_UNUSED_NS);
	*out = s;
	return rc;
}

enum err
http_server_listen(
	struct http_server *s, int own_fd, const struct http_listen_options *o, struct errinfo *ei)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	return server_listen(s, own_fd, o, ei);
}

void
http_server_start_draining(struct http_server *s)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	s->is_draining = true;
}

void
http_server_stop_accepting(struct http_server *s)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	if (s->stop_deadline_ns != 0)
		return;
	s->stop_deadline_ns = clock_mono_ns() + STOP_NS;
	s->whole_by_ns = loop_now_ns(s->loop) + s->options.drain_ns;
	for (size_t i = 0; i < CONN__STATES; i++) {
		for (struct conn *c = s->lists[i].first; c != NULL; c = c->next) {
			conn_hurry(c);
			if (c->req.is_open)
				server_add_work(c, CONN_WORK_CLOSED);
		}
	}
	try_stop(s);
}

bool
http_server_is_accepting(const struct http_server *s)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	return s->is_accepting;
}

/* One that has just come, or shaken hands, and was not used yet: its request is on its way, and a balancer would not send it again. */
static bool
is_fresh(const struct conn *c)
{
	return c->n_served == 0 && loop_now_ns(c->server->loop) - c->since_ns < FRESH_NS;
}

static void
close_silent(struct http_server *s, enum conn_state state)
{
	struct conn *next;

	for (struct conn *c = s->lists[state].first; c != NULL; c = next) {
		next = c->next;
		/* At once: what is put off could meet a request that was read meanwhile. */
		if (c->work == 0 && !is_fresh(c) && !conn_has_held(c) && !conn_has_unread(c))
			engine_close(c);
	}
}

void
http_server_close_idle(struct http_server *s)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	close_silent(s, CONN_PROXY);
	close_silent(s, CONN_IDLE);
}

size_t
http_server_count_connections(const struct http_server *s)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	return s->n_conns;
}

size_t
http_server_count_requests(const struct http_server *s)
{
	OBJ_CHECK(s, SERVER_MAGIC);
	return s->n_queued + s->n_open + s->n_writing;
}

void
http_server_free(struct http_server **s)
{
	struct http_server *dead = *s;

	if (dead == NULL)
		return;
	OBJ_CHECK(dead, SERVER_MAGIC);
	MUST(dead->n_open == 0);
	*s = NULL;
	/* New connections have to be known, so that their end is noticed. */
	while (dead->ready != NULL) {
		struct conn *c = dead->ready;
		dead->ready = c->next_ready;
		do_work(c);
	}
	server_free_listeners(dead);
	MUST(dead->n_conns == 0);
	loop_timer_free(&dead->stop_timer);
	loop_timer_free(&dead->sweep_timer);
	buf_fini(&dead->scratch);
	dead->is_dead = true;
	end_dead(dead);
}
