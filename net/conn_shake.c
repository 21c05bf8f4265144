/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection with TLS does differently from one in clear: it begins with a handshake, which is timed, counted and
 * explained, and it ends with a word to the client. Must never hand on a request before the handshake has ended, nor
 * say "that is all" behind a reply that is not whole. Runs on the loop's thread.
 */
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/must.h"
#include "server.h"
#include "tls_conn.h"

/* Of what a client has sent that is refused in its handshake so much is thrown away, or it would not see why. */
#define THROWN_BYTES 65536

static int64_t
deadline_in(const struct conn *c, int64_t ns)
{
	return loop_now_ns(c->server->loop) + ns;
}

static void
note_no_tls(const struct conn *c, const char *why)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	metric_add(METRIC_TLS_FAILED, 1);
	if (log_limit(&limiter, &dropped))
		log_info(NULL, "no TLS with %s: %s (%llu more not logged)",
			c->engine != NULL ? engine_get_peer(c) : "a client", why,
			(unsigned long long)dropped);
}

static void
on_open(void *arg)
{
	struct conn *c;

	OBJ_CAST(c, arg, CONN_MAGIC);
	MUST(c->state == CONN_SHAKE);
	conn_set_state(c, CONN_IDLE, deadline_in(c, c->server->options.idle_ns));
	if (tls_conn_fill_peer(c->tls, &c->peer)) {
		conn_judge_certificate(c);
		return;
	}
	/* Who it is cannot be said. */
	note_no_tls(c, "its certificate's names cannot be read, or are too many");
	bufferevent_disable(c->bev, EV_READ);
	server_add_work(c, CONN_WORK_CLOSE);
}

void
conn_shake_begin(struct conn *c)
{
	if (c->tls == NULL) {
		conn_set_state(c, CONN_IDLE, deadline_in(c, c->server->options.idle_ns));
		return;
	}
	tls_conn_set_open_fn(c->tls, on_open, c);
	conn_set_state(c, CONN_SHAKE, deadline_in(c, c->server->options.header_deadline_ns));
}

bool
conn_is_still_believed(struct conn *c)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	if (c->tls == NULL || (!c->peer.has_certificate && c->trust_end_wall_ns == 0))
		return true;
	const char *why = tls_conn_judge_again(c->tls, c->listener->options.tls);
	if (why != NULL && log_limit(&limiter, &dropped))
		log_info(NULL,
			"an open connection is closed, its client's certificate is refused now: %s "
			"(%llu "
			"more not logged)",
			why, (unsigned long long)dropped);
	return why == NULL;
}

static void
throw_socket(const struct conn *c)
{
	char bytes[4096];
	ssize_t n = 1;

	for (size_t thrown = 0; n > 0 && thrown < THROWN_BYTES; thrown += (size_t)n)
		n = recv(bufferevent_getfd(c->bev), bytes, sizeof(bytes), MSG_DONTWAIT);
}

static void
note_failure(struct conn *c)
{
	char text[192];
	bool is_plain_http = false;
	const char *why = tls_conn_explain(c->tls, c->bev, &is_plain_http, text, sizeof(text));

	if (loop_now_ns(c->server->loop) >= c->deadline_ns)
		why = "it took too long";
	if (is_plain_http)
		conn_refuse_plain(c);
	throw_socket(c);
	if (why != NULL)
		note_no_tls(c, why);
}

void
conn_shake_end(struct conn *c)
{
	if (c->state == CONN_SHAKE)
		note_failure(c);
	else if (!c->is_cut && evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		tls_conn_end(c->tls);
	tls_conn_let_go(c->tls);
}

void
conn_end_output(struct conn *c)
{
	if (c->tls != NULL)
		tls_conn_end(c->tls);
	shutdown(bufferevent_getfd(c->bev), SHUT_WR);
}

size_t
conn_count_taken(const struct conn *c)
{
	if (c->tls != NULL)
		return (size_t)(tls_conn_count_written(c->tls) - c->wire_base);
	return c->reply_n - evbuffer_get_length(bufferevent_get_output(c->bev));
}
