/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Posting to one receiver. Must never log or return the URL. Blocking; the thread of one sink. */
#include "delivery.h"

#include <string.h>

#include "base/mem.h"
#include "base/must.h"
#include "base/secret.h"
#include "net/http_client.h"
#include "signature.h"

#define DELIVERY_MAGIC 0x444c5652u

struct delivery {
	unsigned magic;
	struct http_client *client;
	struct secret *url;
	struct secret *secret; /* NULL: unsigned */
};

static enum err
fill(struct delivery *d, const struct delivery_options *o, struct errinfo *ei)
{
	struct http_client_options client;

	d->url = secret_new(o->url);
	d->secret = o->secret.n > 0 ? secret_new(o->secret) : NULL;
	if (d->url == NULL || (o->secret.n > 0 && d->secret == NULL))
		return ERR(ei, ERR_NOMEM, "out of memory");
	http_client_options_init(&client);
	client.total_timeout_ns = o->timeout_ns;
	client.ca_file = o->ca_file;
	client.cert_file = o->cert_file;
	client.key_file = o->key_file;
	return http_client_new(&client, &d->client, ei);
}

enum err
delivery_new(const struct delivery_options *o, struct delivery **out, struct errinfo *ei)
{
	*out = NULL;
	enum err rc = http_client_check_url(o->url, ei);
	if (rc != OK)
		return rc;
	struct delivery *d = mem_zalloc(1, sizeof(*d));
	if (d == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	d->magic = DELIVERY_MAGIC;
	rc = fill(d, o, ei);
	if (rc != OK)
		delivery_free(&d);
	*out = d;
	return rc;
}

void
delivery_free(struct delivery **d)
{
	if (*d == NULL)
		return;
	OBJ_CHECK(*d, DELIVERY_MAGIC);
	http_client_free(&(*d)->client);
	secret_free(&(*d)->url);
	secret_free(&(*d)->secret);
	(*d)->magic = 0;
	mem_free(*d);
	*d = NULL;
}

enum err
delivery_post(struct delivery *d, const struct http_header *headers, size_t n, struct span body,
	unsigned *status, struct errinfo *ei)
{
	struct http_header all[DELIVERY_HEADERS_MAX + 1];
	char signature[SIGNATURE_MAX];

	OBJ_CHECK(d, DELIVERY_MAGIC);
	MUST(n <= DELIVERY_HEADERS_MAX);
	*status = 0;
	memcpy(all, headers, n * sizeof(*all));
	if (d->secret != NULL) {
		if (!signature_build(d->secret, body, signature))
			return ERR(ei, ERR_NOMEM, "out of memory");
		all[n++] =
			(struct http_header){SPAN_LIT("X-Nomos-Signature"), span_cstr(signature)};
	}
	enum err rc =
		http_client_post(d->client, secret_get_bytes(d->url), all, n, body, status, ei);
	return rc == ERR_INVALID ? ERR_IO : rc;
}

void
delivery_stop(struct delivery *d)
{
	OBJ_CHECK(d, DELIVERY_MAGIC);
	http_client_stop(d->client);
}

bool
delivery_is_taken(unsigned status)
{
	return status >= 200 && status <= 299;
}

bool
delivery_is_refused(unsigned status)
{
	/* Who may enter, and where and when: a receiver that is set up wrongly is mended one day. */
	static const unsigned of_the_door[] = {
		401, 402, 403, 404, 405, 407, 408, 410, 421, 423, 425, 426, 429, 451};

	if (status < 400 || status > 499)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(of_the_door); i++) {
		if (of_the_door[i] == status)
			return false;
	}
	return true;
}
