/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivery of records to a webhook. Blocking, on the sink's own thread; a client that hangs is
 * ended by stop. The body is the export line, so that a receiver can verify the chain by itself.
 */
#include "outbound/webhook.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/chain.h"
#include "audit/sink.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/secret.h"
#include "net/http_client.h"
#include "signature.h"

#define WEBHOOK_MAGIC 0x57454248u
#define HEADERS_MAX 5

struct webhook {
	struct sink sink; /* first */
	unsigned magic;
	struct http_client *client;
	struct secret *secret; /* NULL: unsigned */
	char *url;
	char *ca_file;
	char name[32]; /* "webhook:" and 16 digits of the URL's hash: keys the cursor, gives nothing
			  away */
	struct buf line;
};

static struct webhook *
webhook_of(struct sink *s)
{
	struct webhook *w = (struct webhook *)(void *)s;

	OBJ_CHECK(w, WEBHOOK_MAGIC);
	return w;
}

static enum err
post(struct webhook *w, const struct sink_record *r, struct errinfo *ei)
{
	struct http_header headers[HEADERS_MAX];
	size_t n = 0;
	char seq[24];
	char signature[SIGNATURE_MAX];
	struct chain_fields fields;
	unsigned status = 0;

	buf_reset(&w->line);
	if (!chain_read_fields(r->body, &fields) ||
		!chain_build_line(r->body, r->event_hash, &w->line))
		return ERR(ei, ERR_CORRUPT, "record %" PRIu64 " is malformed", r->seq);
	snprintf(seq, sizeof(seq), "%" PRIu64, r->seq);
	headers[n++] = (struct http_header){SPAN_LIT("Content-Type"), SPAN_LIT("application/json")};
	headers[n++] = (struct http_header){SPAN_LIT("X-Nomos-Chain"), fields.chain_id};
	headers[n++] = (struct http_header){SPAN_LIT("X-Nomos-Seq"), span_cstr(seq)};
	if (w->secret != NULL) {
		if (!signature_build(w->secret, buf_span(&w->line), signature))
			return ERR(ei, ERR_NOMEM, "out of memory");
		headers[n++] =
			(struct http_header){SPAN_LIT("X-Nomos-Signature"), span_cstr(signature)};
	}
	if (buf_failed(&w->line))
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = http_client_post(
		w->client, span_cstr(w->url), headers, n, buf_span(&w->line), &status, ei);
	if (rc != OK)
		return rc;
	if (status < 200 || status > 299)
		return ERR(
			ei, ERR_IO, "the receiver answered %u to record %" PRIu64, status, r->seq);
	return OK;
}

static enum err
deliver(struct sink *sink, const struct sink_record *r, size_t n, size_t *n_taken,
	struct errinfo *ei)
{
	struct webhook *w = webhook_of(sink);

	for (size_t i = 0; i < n; i++) {
		enum err rc = post(w, &r[i], ei);
		if (rc != OK)
			return ERR_WRAP(ei, rc, "webhook");
		*n_taken = i + 1;
	}
	return OK;
}

static void
stop(struct sink *sink)
{
	http_client_stop(webhook_of(sink)->client);
}

static void
free_webhook(struct sink *sink)
{
	struct webhook *w = webhook_of(sink);

	http_client_free(&w->client);
	secret_free(&w->secret);
	buf_fini(&w->line);
	mem_free(w->url);
	mem_free(w->ca_file);
	w->magic = 0;
	mem_free(w);
}

static const struct sink_ops ops = {.deliver = deliver, .stop = stop, .free = free_webhook};

static enum err
fill(struct webhook *w, const struct webhook_options *o, struct errinfo *ei)
{
	struct http_client_options client;
	bool is_whole = true;

	w->url = mem_dup_span(o->url);
	if (o->secret.n > 0)
		w->secret = secret_new(o->secret);
	if (o->ca_file != NULL)
		w->ca_file = mem_dup_cstr(o->ca_file);
	is_whole = w->url != NULL && (o->secret.n == 0 || w->secret != NULL) &&
		   (o->ca_file == NULL || w->ca_file != NULL);
	if (!is_whole)
		return ERR(ei, ERR_NOMEM, "out of memory");
	http_client_options_init(&client);
	client.total_timeout_ns = o->timeout_ns;
	client.ca_file = w->ca_file;
	return http_client_new(&client, &w->client, ei);
}

enum err
webhook_sink_new(const struct webhook_options *o, struct sink **out, struct errinfo *ei)
{
	*out = NULL;
	enum err rc = http_client_check_url(o->url, ei);
	if (rc != OK)
		return rc;
	struct webhook *w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	char hex[SHA256_HEX + 1];
	hash_sha256_hex(o->url, hex);
	snprintf(w->name, sizeof(w->name), "webhook:%.16s", hex);
	w->magic = WEBHOOK_MAGIC;
	w->sink = (struct sink){.ops = &ops, .name = w->name, .batch_max = 1};
	buf_init(&w->line, 2 * (size_t)BUF_CAP_RECORD);
	rc = fill(w, o, ei);
	if (rc != OK) {
		free_webhook(&w->sink);
		return rc;
	}
	*out = &w->sink;
	return OK;
}
