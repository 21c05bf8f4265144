/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of one connection that was accepted. Every call to the library begins with an empty error queue: what is left in it
 * from another connection would be taken for this one's. Runs on the loop's thread.
 */
#include "tls_conn.h"

#include <stdio.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "tls_priv.h"

#define TLS_CONN_MAGIC 0x746c736eu

struct tls_conn {
	unsigned magic;
	struct tls_context *context; /* its callbacks point there */
	SSL *ssl;                    /* the bufferevent's */
	tls_open_fn open_fn;
	void *open_arg;
	bool is_open;
	unsigned
		judged_version; /* of the keeper's contexts, by which its certificate was judged last; 0: by none */
	int64_t judged_until_s;
	char *names; /* what the peer's spans point to; NULL: none */
};

static void
on_progress(const SSL *ssl, int where, int value)
{
	struct tls_conn *t = SSL_get_app_data(ssl);

	(void)value;
	if ((where & SSL_CB_HANDSHAKE_DONE) == 0 || t == NULL || t->is_open)
		return;
	OBJ_CHECK(t, TLS_CONN_MAGIC);
	t->is_open = true;
	metric_add(METRIC_TLS_HANDSHAKES, 1);
	if (SSL_session_reused(ssl) == 1)
		metric_add(METRIC_TLS_RESUMED, 1);
	if (t->open_fn != NULL)
		t->open_fn(t->open_arg);
}

struct bufferevent *
tls_conn_new(struct event_base *base, struct tls_context *own_context, struct tls_conn **out)
{
	struct tls_conn *t = mem_zalloc(1, sizeof(*t));
	struct bufferevent *bev = NULL;

	ERR_clear_error();
	SSL *ssl = SSL_new(own_context->ssl);
	if (ssl != NULL && t != NULL)
		bev = bufferevent_openssl_socket_new(
			base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		SSL_free(ssl);
		mem_free(t);
		tls_context_unref(&own_context);
		return NULL;
	}
	t->magic = TLS_CONN_MAGIC;
	t->context = own_context;
	t->ssl = ssl;
	MUST(SSL_set_app_data(ssl, t) == 1);
	SSL_set_info_callback(ssl, on_progress);
	*out = t;
	return bev;
}

void
tls_conn_set_open_fn(struct tls_conn *t, tls_open_fn fn, void *arg)
{
	t->open_fn = fn;
	t->open_arg = arg;
}

bool
tls_conn_expect_preamble(struct tls_conn *t, int fd, tls_preamble_fn fn, void *arg)
{
	BIO *bio = tls_preamble_new(fd, fn, arg);

	if (bio == NULL)
		return false;
	SSL_set0_rbio(t->ssl, bio);
	return true;
}

void
tls_conn_free(struct tls_conn **t)
{
	struct tls_conn *dead = *t;

	if (dead == NULL)
		return;
	OBJ_CHECK(dead, TLS_CONN_MAGIC);
	*t = NULL;
	tls_context_unref(&dead->context);
	mem_free(dead->names);
	dead->magic = 0;
	mem_free(dead);
}

void
tls_conn_let_go(struct tls_conn *t)
{
	SSL_set_app_data(t->ssl, NULL);
	t->ssl = NULL;
}

bool
tls_conn_fill_peer(struct tls_conn *t, struct net_peer *peer)
{
	peer->is_tls = true;
	X509 *leaf = SSL_get0_peer_certificate(t->ssl);
	if (leaf == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return leaf == NULL;
	return tls_peer_read(leaf, peer, &t->names);
}

const char *
tls_conn_judge_again(struct tls_conn *t, struct tls_keeper *k)
{
	unsigned version = tls_keeper_get_version(k);

	if (version == t->judged_version && clock_wall_ns() / NS_PER_SEC < t->judged_until_s)
		return NULL;
	struct tls_context *now = tls_keeper_take(k);
	int64_t until_s = tls_context_get_crl_end_s(now);
	bool is_in_time = clock_wall_ns() / NS_PER_SEC < until_s;
	bool is_good = (now == t->context && is_in_time) || tls_client_verify_again(t->ssl, now);
	const char *why = tls_client_take_refusal();
	if (is_good) {
		t->judged_version = version;
		t->judged_until_s = until_s;
		why = NULL;
	} else if (why == NULL) {
		why = "out of memory";
	}
	tls_context_unref(&now);
	return why;
}

const char *
tls_conn_explain(
	struct tls_conn *t, struct bufferevent *bev, bool *is_plain_http, char *buffer, size_t size)
{
	unsigned long code = bufferevent_get_openssl_error(bev);
	const char *why = tls_client_take_refusal();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	*is_plain_http =
		ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_HTTP_REQUEST;
	if (why != NULL) {
		snprintf(buffer, size, "the client's certificate is refused: %s", why);
		return buffer;
	}
	if (reason != NULL)
		return reason;
	if (BIO_number_read(SSL_get_rbio(t->ssl)) == 0)
		return NULL;
	return "the client has left";
}

size_t
tls_conn_write(struct tls_conn *t, struct span bytes)
{
	size_t n = 0;

	ERR_clear_error();
	/* A record that waits for room has to go first, by whoever has begun it. */
	if (bytes.n == 0 || !t->is_open || SSL_want_write(t->ssl) ||
		SSL_write_ex(t->ssl, bytes.p, bytes.n, &n) != 1)
		n = 0;
	ERR_clear_error();
	return n;
}

void
tls_conn_end(struct tls_conn *t)
{
	/* In a handshake, or behind an error, there is nothing to say it with. */
	if (!t->is_open || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

bool
tls_conn_is_silent(const struct tls_conn *t)
{
	return BIO_number_read(SSL_get_rbio(t->ssl)) == 0;
}

bool
tls_conn_has_pending(const struct tls_conn *t)
{
	/* Not SSL_has_pending, which counts the first byte of a record that never comes. */
	return SSL_pending(t->ssl) > 0;
}

uint64_t
tls_conn_count_written(const struct tls_conn *t)
{
	BIO *bio = SSL_get_wbio(t->ssl);

	return bio != NULL ? BIO_number_written(bio) : 0;
}
