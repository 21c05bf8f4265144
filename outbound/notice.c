/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink behind notices. All records pass it, one kind becomes a message. Must never hold its cursor for longer than an
 * approval lasts. Blocking, on the sink's own thread; a call that hangs is ended by stop.
 */
#include "outbound/notice.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/chain.h"
#include "audit/sink.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "delivery.h"
#include "notice_text.h"

#define NOTICE_MAGIC 0x4e4f5443u
#define NAME_BYTES_MAX 64
/* Answers that no later try will change. */
#define REFUSALS_MAX 5
/* The tree of the largest record. */
#define ARENA_BYTES ((size_t)16 * 1024 * 1024)

struct notice_sink {
	struct sink sink; /* first */
	unsigned magic;
	struct delivery *delivery;
	char *page;
	char name[NAME_BYTES_MAX + 8]; /* "notify:" and the receiver's */
	enum notice_kind kind;
	struct arena *arena; /* of one record */
	uint64_t refused_seq;
	unsigned n_refused; /* of that record */
};

static struct notice_sink *
notice_of(struct sink *s)
{
	struct notice_sink *w = (struct notice_sink *)(void *)s;

	OBJ_CHECK(w, NOTICE_MAGIC);
	return w;
}

static bool
is_request(struct span body)
{
	return span_eq_cstr(
		chain_find_member(body, SPAN_LIT("event_type")), "\"approval.requested\"");
}

static enum err
post(struct notice_sink *w, const struct notice *n, unsigned *status, struct errinfo *ei)
{
	const struct http_header headers[] = {
		{SPAN_LIT("Content-Type"), SPAN_LIT("application/json")},
		{SPAN_LIT("X-Nomos-Event"), SPAN_LIT("approval.requested")},
		{SPAN_LIT("X-Nomos-Approval-Id"), n->approval_id},
	};
	struct buf body;

	*status = 0;
	buf_init(&body, BUF_CAP_RECORD);
	notice_build(w->kind, n, span_cstr(w->page), &body);
	enum err rc = buf_failed(&body) ? ERR(ei, ERR_NOMEM, "out of memory")
					: delivery_post(w->delivery, headers, ARRAY_LEN(headers),
						  buf_span(&body), status, ei);
	buf_fini(&body);
	return rc;
}

static void
give_up(const struct notice_sink *w, struct span approval_id, const char *why)
{
	metric_add(METRIC_NOTICES_LOST, 1);
	log_warn(NULL, "%s: nobody was told there of approval %.*s: %s", w->name,
		SPAN_ARG(approval_id), why);
}

static bool
is_for_good(unsigned status)
{
	return status < 500 && status != 408 && status != 429;
}

/* OK: the record is done with. */
static enum err
settle(struct notice_sink *w, uint64_t seq, const struct notice *n, unsigned status,
	struct errinfo *ei)
{
	char why[64];

	if (delivery_is_taken(status)) {
		metric_add(METRIC_NOTICES, 1);
		return OK;
	}
	w->n_refused = w->refused_seq == seq ? w->n_refused + 1 : 1;
	w->refused_seq = seq;
	snprintf(why, sizeof(why), "the receiver answered %u", status);
	if (!is_for_good(status) || w->n_refused < REFUSALS_MAX)
		return ERR(ei, ERR_IO, "%s", why);
	give_up(w, n->approval_id, why);
	return OK;
}

static enum err
tell(struct notice_sink *w, const struct sink_record *r, struct errinfo *ei)
{
	struct notice n;
	unsigned status = 0;
	enum err rc;

	arena_reset(w->arena);
	if (!notice_read(r->body, w->arena, &n)) {
		if (arena_failed(w->arena))
			return ERR(ei, ERR_NOMEM, "out of memory");
		give_up(w, SPAN_LIT("?"), "its record cannot be read");
		return OK;
	}
	if (clock_wall_ns() > n.expires_ns) {
		give_up(w, n.approval_id, "it ran out before");
		return OK;
	}
	rc = post(w, &n, &status, ei);
	return rc == OK ? settle(w, r->seq, &n, status, ei) : rc;
}

static enum err
deliver(struct sink *sink, const struct sink_record *r, size_t n, size_t *n_taken,
	struct errinfo *ei)
{
	struct notice_sink *w = notice_of(sink);

	for (size_t i = 0; i < n; i++) {
		enum err rc = is_request(r[i].body) ? tell(w, &r[i], ei) : OK;
		if (rc != OK)
			return ERR_WRAP(ei, rc, "notice");
		*n_taken = i + 1;
	}
	return OK;
}

static void
stop(struct sink *sink)
{
	delivery_stop(notice_of(sink)->delivery);
}

static void
free_notice(struct sink *sink)
{
	struct notice_sink *w = notice_of(sink);

	delivery_free(&w->delivery);
	arena_free(&w->arena);
	mem_free(w->page);
	w->magic = 0;
	mem_free(w);
}

static const struct sink_ops ops = {.deliver = deliver, .stop = stop, .free = free_notice};

static enum err
fill(struct notice_sink *w, const struct notice_options *o, struct errinfo *ei)
{
	enum err rc = delivery_new(&o->to, &w->delivery, ei);

	if (rc != OK)
		return rc;
	w->page = mem_dup_span(o->page);
	w->arena = arena_new(ARENA_BYTES);
	return w->page != NULL && w->arena != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

enum err
notice_sink_new(const struct notice_options *o, struct sink **out, struct errinfo *ei)
{
	struct notice_sink *w;
	enum err rc;

	*out = NULL;
	if (o->name.n == 0 || o->name.n > NAME_BYTES_MAX)
		return ERR(ei, ERR_INVALID, "a receiver's name has 1 to %d bytes", NAME_BYTES_MAX);
	w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	snprintf(w->name, sizeof(w->name), "notify:%.*s", SPAN_ARG(o->name));
	w->magic = NOTICE_MAGIC;
	w->kind = o->kind;
	w->sink = (struct sink){.ops = &ops, .name = w->name, .is_advisory = true};
	rc = fill(w, o, ei);
	if (rc != OK) {
		free_notice(&w->sink);
		return rc;
	}
	*out = &w->sink;
	return OK;
}
