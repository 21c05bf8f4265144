/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery of records to a webhook. Blocking, on the sink's own thread; a client that hangs is
 * ended by stop. The body is made of export lines, so that a receiver can verify the chain by itself.
 */
#include "outbound/webhook.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/chain.h"
#include "audit/sink.h"
#include "base/buf.h"
#include "base/gzip.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"
#include "delivery.h"

#define WEBHOOK_MAGIC 0x57454248u
/* A body ends once it is over this; one more record always fits behind it. */
#define BODY_BYTES_MAX ((size_t)1024 * 1024)

struct webhook {
	struct sink sink; /* first */
	unsigned magic;
	struct delivery *delivery;
	char *target;  /* scheme, host and port of the URL */
	char name[32]; /* "webhook:" and 16 digits of the URL's hash: keys the cursor, gives nothing
			  away */
	bool packs;
	bool is_batched; /* the body is lines, also when it is one */
	size_t limit;    /* records of the next POST, from 1 to sink.batch_max */
	struct buf lines;
	struct buf packed;
};

static struct webhook *
webhook_of(struct sink *s)
{
	struct webhook *w = (struct webhook *)(void *)s;

	OBJ_CHECK(w, WEBHOOK_MAGIC);
	return w;
}

/* Lines of at most max records; *n: how many. */
static enum err
build_lines(
	struct webhook *w, const struct sink_record *r, size_t max, size_t *n, struct errinfo *ei)
{
	buf_reset(&w->lines);
	*n = 0;
	while (*n < max && (*n == 0 || w->lines.n < BODY_BYTES_MAX)) {
		if (!chain_build_line(r[*n].body, r[*n].event_hash, &w->lines))
			return ERR(ei, ERR_CORRUPT, "record %" PRIu64 " is malformed", r[*n].seq);
		if (w->is_batched)
			buf_add_char(&w->lines, '\n');
		++*n;
	}
	return buf_failed(&w->lines) ? ERR(ei, ERR_NOMEM, "out of memory") : OK;
}

static enum err
pack(struct webhook *w, struct span *body, struct errinfo *ei)
{
	*body = buf_span(&w->lines);
	if (!w->packs)
		return OK;
	buf_reset(&w->packed);
	enum err rc = gzip_pack(*body, &w->packed, ei);
	*body = buf_span(&w->packed);
	return rc;
}

/* n records whose lines are built. */
static enum err
post(struct webhook *w, const struct sink_record *r, size_t n, unsigned *status, struct errinfo *ei)
{
	struct http_header headers[DELIVERY_HEADERS_MAX];
	struct chain_fields fields;
	char first[24];
	char last[24];
	struct span body;
	size_t k = 0;

	*status = 0;
	if (!chain_read_fields(r->body, &fields))
		return ERR(ei, ERR_CORRUPT, "record %" PRIu64 " is malformed", r->seq);
	snprintf(first, sizeof(first), "%" PRIu64, r[0].seq);
	snprintf(last, sizeof(last), "%" PRIu64, r[n - 1].seq);
	headers[k++] = (struct http_header){SPAN_LIT("Content-Type"),
		w->is_batched ? SPAN_LIT("application/x-ndjson") : SPAN_LIT("application/json")};
	headers[k++] = (struct http_header){SPAN_LIT("X-Nomos-Chain"), fields.chain_id};
	headers[k++] = (struct http_header){SPAN_LIT("X-Nomos-Seq"), span_cstr(first)};
	if (w->is_batched)
		headers[k++] = (struct http_header){SPAN_LIT("X-Nomos-Seq-Last"), span_cstr(last)};
	if (w->packs)
		headers[k++] = (struct http_header){SPAN_LIT("Content-Encoding"), SPAN_LIT("gzip")};
	enum err rc = pack(w, &body, ei);
	return rc == OK ? delivery_post(w->delivery, headers, k, body, status, ei) : rc;
}

static enum err
explain(const struct sink_record *r, size_t n, unsigned status, struct errinfo *ei)
{
	enum err rc = delivery_is_refused(status) ? ERR_INVALID : ERR_IO;

	if (n == 1)
		return ERR(ei, rc, "the receiver answered %u to record %" PRIu64, status, r->seq);
	return ERR(ei, rc, "the receiver answered %u to records %" PRIu64 " to %" PRIu64, status,
		r[0].seq, r[n - 1].seq);
}

/* The next part of r[0..n). *n_done: how many are settled; OK without any: once more, with fewer. */
static enum err
deliver_some(struct webhook *w, const struct sink_record *r, size_t n, size_t *n_done,
	struct errinfo *ei)
{
	size_t n_sent = 0;
	unsigned status = 0;
	enum err rc = build_lines(w, r, n < w->limit ? n : w->limit, &n_sent, ei);

	*n_done = 0;
	if (rc == OK)
		rc = post(w, r, n_sent, &status, ei);
	if (rc != OK)
		return rc;
	if (delivery_is_taken(status)) {
		*n_done = n_sent;
		w->limit = w->limit * 2 < w->sink.batch_max ? w->limit * 2 : w->sink.batch_max;
		return OK;
	}
	if (n_sent == 1 || !delivery_is_refused(status))
		return explain(r, n_sent, status, ei);
	w->limit = n_sent / 2;
	return OK;
}

static enum err
deliver(struct sink *sink, const struct sink_record *r, size_t n, size_t *n_taken,
	struct errinfo *ei)
{
	struct webhook *w = webhook_of(sink);
	enum err rc = OK;

	while (rc == OK && *n_taken < n) {
		size_t n_done = 0;
		rc = deliver_some(w, r + *n_taken, n - *n_taken, &n_done, ei);
		*n_taken += n_done;
	}
	return rc == OK ? OK : ERR_WRAP(ei, rc, "webhook");
}

static void
stop(struct sink *sink)
{
	delivery_stop(webhook_of(sink)->delivery);
}

static void
free_webhook(struct sink *sink)
{
	struct webhook *w = webhook_of(sink);

	delivery_free(&w->delivery);
	buf_fini(&w->lines);
	buf_fini(&w->packed);
	mem_free(w->target);
	w->magic = 0;
	mem_free(w);
}

static const struct sink_ops ops = {.deliver = deliver, .stop = stop, .free = free_webhook};

/* A URL that was checked, up to its path: what follows may be a token. */
static struct span
origin_of(struct span url)
{
	size_t n = span_find(url, ':') + 3;

	while (n < url.n && url.p[n] != '/' && url.p[n] != '?' && url.p[n] != '#')
		n++;
	return span_of(url.p, n < url.n ? n : url.n);
}

static enum err
fill(struct webhook *w, const struct webhook_options *o, struct errinfo *ei)
{
	enum err rc = delivery_new(&o->to, &w->delivery, ei);

	if (rc != OK)
		return rc;
	w->target = mem_dup_span(origin_of(o->to.url));
	w->sink.target = w->target;
	return w->target != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

enum err
webhook_sink_new(const struct webhook_options *o, struct sink **out, struct errinfo *ei)
{
	char hex[SHA256_HEX + 1];

	*out = NULL;
	struct webhook *w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	hash_sha256_hex(o->to.url, hex);
	snprintf(w->name, sizeof(w->name), "webhook:%.16s", hex);
	w->magic = WEBHOOK_MAGIC;
	w->packs = o->gzip;
	w->is_batched = o->batch_max > 1;
	w->limit = o->batch_max > 1 ? o->batch_max : 1;
	w->sink = (struct sink){.ops = &ops,
		.name = w->name,
		.batch_max = w->limit,
		.retry_max_ns = o->retry_max_ns};
	buf_init(&w->lines, BODY_BYTES_MAX + 3 * (size_t)BUF_CAP_RECORD);
	buf_init(&w->packed, BODY_BYTES_MAX + 4 * (size_t)BUF_CAP_RECORD);
	enum err rc = fill(w, o, ei);
	if (rc != OK) {
		free_webhook(&w->sink);
		return rc;
	}
	*out = &w->sink;
	return OK;
}
