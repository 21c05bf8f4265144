/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a listening socket offers in a TLS handshake: versions, suites, certificates by server name, ALPN, the OCSP
 * answer. Built once, whole and checked, before any connection sees it; immutable from then on, shared by all workers.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "tls_priv.h"

/* Forward secrecy and authenticated ciphers alone; those of TLS 1.3 are all so. */
#define SUITES "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SECURITY_LEVEL 2
/* What a client may send as its certificate and chain. */
#define CLIENT_CHAIN_BYTES_MAX (32 * 1024)

static const unsigned char http11[] = {'h', 't', 't', 'p', '/', '1', '.', '1'};

/* A client that speaks only something else is told so; one that does not say is taken to speak HTTP/1.1. */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
	unsigned in_n, void *arg)
{
	(void)ssl;
	(void)arg;
	for (unsigned at = 0; at < in_n; at += 1u + in[at]) {
		if (in[at] == sizeof(http11) && at + 1 + sizeof(http11) <= in_n &&
			memcmp(in + at + 1, http11, sizeof(http11)) == 0) {
			*out = in + at + 1;
			*out_n = sizeof(http11);
			return SSL_TLSEXT_ERR_OK;
		}
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static const struct tls_certificate *
find_by_name(const struct tls_context *c, const char *name)
{
	for (size_t i = 0; i < c->n_certificates && name != NULL; i++) {
		if (X509_check_host(c->certificates[i].leaf, name, 0, 0, NULL) == 1)
			return &c->certificates[i];
	}
	return &c->certificates[0];
}

/* Once the client's hello is read. */
static int
choose_certificate(SSL *ssl, void *arg)
{
	const struct tls_context *c;

	OBJ_CAST(c, arg, TLS_CONTEXT_MAGIC);
	const struct tls_certificate *chosen =
		find_by_name(c, SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name));
	/* The first one is in place already. */
	if (chosen == &c->certificates[0])
		return 1;
	SSL_certs_clear(ssl);
	return SSL_use_cert_and_key(ssl, chosen->leaf, chosen->key, chosen->chain, 1);
}

/* The name is answered to be known, whichever certificate is chosen. */
static int
take_name(SSL *ssl, int *alert, void *arg)
{
	(void)alert;
	(void)arg;
	return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != NULL ? SSL_TLSEXT_ERR_OK
									  : SSL_TLSEXT_ERR_NOACK;
}

static int
staple(SSL *ssl, void *arg)
{
	const struct tls_context *c;
	const X509 *shown = SSL_get_certificate(ssl);

	OBJ_CAST(c, arg, TLS_CONTEXT_MAGIC);
	for (size_t i = 0; i < c->n_certificates; i++) {
		const struct tls_certificate *own = &c->certificates[i];
		if (own->leaf != shown || !tls_certificate_has_answer(own))
			continue;
		unsigned char *copy = OPENSSL_memdup(own->ocsp, own->ocsp_n);
		if (copy == NULL)
			break;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)own->ocsp_n);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static bool
set_rules(struct tls_context *c, bool needs_tls13)
{
	SSL_CTX_set_security_level(c->ssl, SECURITY_LEVEL);
	SSL_CTX_set_options(c->ssl,
		SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
			SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(c->ssl, CLIENT_CHAIN_BYTES_MAX);
	SSL_CTX_set_alpn_select_cb(c->ssl, choose_protocol, NULL);
	SSL_CTX_set_cert_cb(c->ssl, choose_certificate, c);
	return SSL_CTX_set_min_proto_version(
		       c->ssl, needs_tls13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(c->ssl, SUITES) == 1 &&
	       SSL_CTX_set_tlsext_servername_callback(c->ssl, take_name) == 1 &&
	       SSL_CTX_set_tlsext_status_cb(c->ssl, staple) == 1 &&
	       SSL_CTX_set_tlsext_status_arg(c->ssl, c) == 1;
}

static enum err
use_certificate(
	SSL_CTX *ssl, const struct tls_certificate *own, const char *path, struct errinfo *ei)
{
	SSL_CTX_set_security_level(ssl, SECURITY_LEVEL);
	if (SSL_CTX_use_cert_and_key(ssl, own->leaf, own->key, own->chain, 1) == 1)
		return OK;
	return tls_error(ei, path);
}

/* The first one is in place for every connection; the others are tried, so that one that the library will not use is known now. */
static enum err
use_certificates(struct tls_context *c, const struct tls_options *o, struct errinfo *ei)
{
	enum err rc = use_certificate(c->ssl, &c->certificates[0], o->pairs[0].cert_file, ei);

	for (size_t i = 1; i < c->n_certificates && rc == OK; i++) {
		SSL_CTX *trial = SSL_CTX_new(TLS_server_method());
		if (trial == NULL)
			return tls_error(ei, "TLS");
		rc = use_certificate(trial, &c->certificates[i], o->pairs[i].cert_file, ei);
		SSL_CTX_free(trial);
	}
	return rc;
}

static enum err
load_certificates(struct tls_context *c, const struct tls_options *o, struct errinfo *ei)
{
	enum err rc = OK;

	for (size_t i = 0; i < o->n_pairs && rc == OK; i++) {
		rc = tls_certificate_load(&o->pairs[i], &c->certificates[i], ei);
		if (rc != OK)
			break;
		c->n_certificates++;
		if (i == 0 || c->certificates[i].end_s < c->end_s)
			c->end_s = c->certificates[i].end_s;
		int64_t ocsp_end_s = c->certificates[i].ocsp_end_s;
		if (ocsp_end_s != 0 && (c->ocsp_end_s == 0 || ocsp_end_s < c->ocsp_end_s))
			c->ocsp_end_s = ocsp_end_s;
	}
	return rc;
}

static enum err
build(struct tls_context *c, const struct tls_options *o, struct tls_tickets *tickets,
	struct errinfo *ei)
{
	enum err rc = load_certificates(c, o, ei);

	if (rc != OK)
		return rc;
	ERR_clear_error();
	c->ssl = SSL_CTX_new(TLS_server_method());
	/* A resumed session would not be asked for its certificate again, which may be out of its time by then. */
	bool resumes = o->client_auth == TLS_CLIENT_NONE;
	if (c->ssl == NULL || !set_rules(c, o->needs_tls13) ||
		!tls_tickets_install(resumes ? tickets : NULL, c->ssl))
		return tls_error(ei, "TLS");
	rc = use_certificates(c, o, ei);
	if (rc == OK && o->client_auth != TLS_CLIENT_NONE)
		rc = tls_client_install(c->ssl, o, &c->crl_end_s, ei);
	return rc;
}

enum err
tls_context_load(const struct tls_options *o, struct tls_tickets *tickets, struct tls_context **out,
	struct errinfo *ei)
{
	struct tls_context *c = mem_zalloc(1, sizeof(*c));

	*out = NULL;
	if (c == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	c->magic = TLS_CONTEXT_MAGIC;
	c->refs = 1;
	c->crl_end_s = INT64_MAX;
	enum err rc = build(c, o, tickets, ei);
	if (rc != OK)
		tls_context_unref(&c);
	*out = c;
	return rc;
}

struct tls_context *
tls_context_ref(struct tls_context *c)
{
	OBJ_CHECK(c, TLS_CONTEXT_MAGIC);
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void
tls_context_unref(struct tls_context **c)
{
	struct tls_context *old = *c;

	*c = NULL;
	if (old == NULL)
		return;
	OBJ_CHECK(old, TLS_CONTEXT_MAGIC);
	if (atomic_fetch_sub_explicit(&old->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(old->ssl);
	for (size_t i = 0; i < old->n_certificates; i++)
		tls_certificate_fini(&old->certificates[i]);
	old->magic = 0;
	mem_free(old);
}

int64_t
tls_context_get_crl_end_s(const struct tls_context *c)
{
	OBJ_CHECK(c, TLS_CONTEXT_MAGIC);
	return c->crl_end_s;
}

int64_t
tls_context_get_ocsp_end_s(const struct tls_context *c)
{
	OBJ_CHECK(c, TLS_CONTEXT_MAGIC);
	return c->ocsp_end_s;
}

int64_t
tls_context_get_end_s(const struct tls_context *c)
{
	OBJ_CHECK(c, TLS_CONTEXT_MAGIC);
	return c->end_s;
}

const char *
tls_context_find_over(const struct tls_context *c)
{
	OBJ_CHECK(c, TLS_CONTEXT_MAGIC);
	if (clock_wall_ns() / NS_PER_SEC >= c->crl_end_s)
		return "the list of revoked client certificates has expired: every client "
		       "certificate is refused until there is a new one";
	for (size_t i = 0; i < c->n_certificates; i++) {
		if (c->certificates[i].ocsp != NULL &&
			!tls_certificate_has_answer(&c->certificates[i]))
			return "an OCSP response has grown old and is not stapled any more";
	}
	return NULL;
}
