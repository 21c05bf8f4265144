/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /api/ui/stream: what changes, for the operator page. Event `hello` begins, so that the page reads what is; `approval` tells of each
 * approval that was opened, decided, used or has run out; `overview` is how the gateway is doing, once a second. A page that
 * was too slow to be told of everything is not told of some: its stream ends, it comes back and reads what is. The reader's right is
 * looked at again each second. Worker's thread.
 */
#include "routes.h"

#include "base/buf.h"
#include "base/json.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/must.h"
#include "pipeline/board.h"
#include "pipeline/pipeline.h"
#include "sse.h"
#include "ui_state.h"

#define UI_STREAM_MAGIC 0x05e5e57eu
#define UI_STREAMS_MAX 64
#define UI_STREAMS_PER_PRINCIPAL 8
#define TICK_NS NS_PER_SEC

struct ui_stream {
	unsigned magic;
	struct http_request *http;
	struct worker *worker;
	struct board_waiter *waiter;
	struct loop_timer *timer;
	bool has_missed; /* an event was not taken */
};

static void
end(struct ui_stream *s)
{
	board_leave(&s->waiter);
	loop_timer_free(&s->timer);
	if (s->http != NULL)
		http_request_stream_end(s->http);
	s->magic = 0;
	mem_free(s);
}

static void
on_closed(struct http_request *http, void *arg)
{
	struct ui_stream *s;

	(void)http;
	OBJ_CAST(s, arg, UI_STREAM_MAGIC);
	end(s);
}

/* It comes back and reads what is. */
static void
on_drained(struct http_request *http, void *arg)
{
	struct ui_stream *s;

	(void)http;
	OBJ_CAST(s, arg, UI_STREAM_MAGIC);
	if (s->has_missed)
		end(s);
}

/* Behind one that was not taken nothing is sent any more. */
static void
send_event(struct ui_stream *s, const char *event, struct span data)
{
	if (!s->has_missed && !sse_send(s->http, event, data))
		s->has_missed = true;
}

static void
on_news(const struct board_news *news, void *arg)
{
	struct ui_stream *s;
	struct buf b;

	OBJ_CAST(s, arg, UI_STREAM_MAGIC);
	if (news->has_missed) {
		end(s);
		return;
	}
	buf_init(&b, BUF_CAP_LOG_LINE);
	BUF_ADD_LIT(&b, "{\"approval_id\":");
	json_quote(&b, span_cstr(news->approval_id));
	BUF_ADD_LIT(&b, ",\"status\":");
	json_quote(&b, span_cstr(news->status));
	buf_add_char(&b, '}');
	send_event(s, "approval", buf_failed(&b) ? SPAN_LIT("{}") : buf_span(&b));
	buf_fini(&b);
}

static void
send_overview(struct ui_stream *s)
{
	struct buf b;

	buf_init(&b, HTTP_STREAM_BYTES_MAX / 2);
	buf_add_char(&b, '{');
	ui_state_add_live(s->worker, &b);
	buf_add_char(&b, '}');
	if (!buf_failed(&b))
		send_event(s, "overview", buf_span(&b));
	buf_fini(&b);
}

static void
on_timer(void *arg)
{
	struct ui_stream *s;

	OBJ_CAST(s, arg, UI_STREAM_MAGIC);
	if (!exchange_may_stay(s->http, s->worker, ROLE_VIEWER)) {
		end(s);
		return;
	}
	/* It also keeps the connection alive. */
	send_overview(s);
	loop_timer_arm(s->timer, TICK_NS);
}

static enum err
join(struct ui_stream *s, const struct exchange *x)
{
	struct board_wish wish = {
		.owner = x->caller.principal,
		.room = BOARD_ROOM_PAGES,
		.max = UI_STREAMS_MAX,
		.max_per_owner = UI_STREAMS_PER_PRINCIPAL,
		.loop = worker_get_loop(x->worker),
		.heard = on_news,
		.arg = s,
	};

	return board_join(
		pipeline_get_board(worker_get_pipeline(x->worker)), &wish, &s->waiter, NULL);
}

static void
begin(struct ui_stream *s, struct http_request *http)
{
	s->http = http;
	http_request_set_closed_fn(http, on_closed, s);
	sse_begin(http);
	http_request_stream_set_drained_fn(http, on_drained, s);
	loop_timer_arm(s->timer, TICK_NS);
	send_event(s, "hello", SPAN_LIT("{}"));
	if (http_request_get_method(http) == HTTP_METHOD_HEAD)
		end(s);
}

void
api_ui_stream(const struct exchange *x)
{
	struct ui_stream *s = mem_zalloc(1, sizeof(*s));
	enum err rc = ERR_NOMEM;

	if (s != NULL) {
		s->magic = UI_STREAM_MAGIC;
		s->worker = x->worker;
		s->timer = loop_timer_new(worker_get_loop(x->worker), on_timer, s);
		rc = s->timer != NULL ? join(s, x) : ERR_NOMEM;
	}
	if (rc == OK) {
		begin(s, x->http);
		return;
	}
	if (s != NULL)
		end(s);
	if (rc == ERR_RATE)
		reply_error(x->http, 429, "rate_limited",
			SPAN_LIT("too many streams of this principal"), SSE_RETRY_S);
	else
		reply_error(x->http, 503, "overloaded", SPAN_LIT("too many streams"), SSE_RETRY_S);
}
