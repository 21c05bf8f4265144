/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the files behind net/tls.h share. */
#ifndef NET_TLS_PRIV_H
#define NET_TLS_PRIV_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include "base/buf.h"
#include "base/span.h"
#include "net/peer.h"
#include "net/tls.h"
#include "tls_conn.h"

#define TLS_CONTEXT_MAGIC 0x746c7363u

/* tls_pair.c: a certificate with its key, read and checked. */
struct tls_certificate {
	X509 *leaf;
	STACK_OF(X509) * chain; /* may be empty */
	EVP_PKEY *key;
	unsigned char *ocsp; /* NULL: none */
	size_t ocsp_n;
	int64_t ocsp_end_s; /* 0: no answer is configured; INT64_MAX: it has no end */
	int64_t end_s;
};

MUSTCHECK enum err tls_certificate_load(
	const struct tls_pair *pair, struct tls_certificate *out, struct errinfo *ei);
void tls_certificate_fini(struct tls_certificate *c);
/* Whether the CA's answer can be sent along now. */
bool tls_certificate_has_answer(const struct tls_certificate *c);
/* The certificates of a PEM file; at least one. */
MUSTCHECK enum err tls_read_certificates(
	const char *path, STACK_OF(X509) * *out, struct errinfo *ei);
/* Into b, which is only to be freed on success. */
MUSTCHECK enum err tls_read_file(const char *path, struct buf *b, struct errinfo *ei);
/* ERR_NOMEM or ERR_CRYPTO with OpenSSL's own words for what it has just refused to do. */
enum err tls_error(struct errinfo *ei, const char *what);

/* tls_tickets.c: the keys of session tickets. */
struct tls_tickets;
MUSTCHECK enum err tls_tickets_new(
	int64_t lifetime_s, struct tls_tickets **out, struct errinfo *ei);
void tls_tickets_free(struct tls_tickets **t);
/* Sessions of ssl are kept in tickets of t, which outlives it; NULL: no session is resumed. */
MUSTCHECK bool tls_tickets_install(struct tls_tickets *t, SSL_CTX *ssl);

/* tls.c */
struct tls_context {
	unsigned magic;
	_Atomic unsigned refs;
	SSL_CTX *ssl;
	struct tls_certificate certificates[TLS_PAIRS_MAX];
	size_t n_certificates;
	int64_t end_s;
	int64_t ocsp_end_s; /* the first of those that there are; 0: none */
	int64_t crl_end_s;  /* INT64_MAX: none */
};

MUSTCHECK enum err tls_context_load(const struct tls_options *o, struct tls_tickets *tickets,
	struct tls_context **out, struct errinfo *ei);

/* tls_pair.c: from now; 0 and below: it is over, or no time. */
int64_t tls_seconds_until(const ASN1_TIME *t);

/* tls_client.c: certificates of clients. */
/* Those of the bundle are trusted to sign them. *crl_end_s: when the first of the lists ends; INT64_MAX without one. */
MUSTCHECK enum err tls_client_install(
	SSL_CTX *ssl, const struct tls_options *o, int64_t *crl_end_s, struct errinfo *ei);
/* Why the last certificate of a client was refused, in this thread; NULL: none was. Taken back by the call. */
const char *tls_client_take_refusal(void);

/* Whether the certificate of ssl's client, which was good at its handshake, would be good for a handshake with now. */
MUSTCHECK bool tls_client_verify_again(SSL *ssl, const struct tls_context *now);

/* tls_crl.c: the lists of the file hold for what store verifies. */
MUSTCHECK enum err tls_crl_install(X509_STORE *store, const char *path, STACK_OF(X509) * cas,
	int64_t *end_s, struct errinfo *ei);
/* X509_STORE_CTX_verify_cb. */
int tls_crl_judge(int is_good, X509_STORE_CTX *x);

/* tls_preamble.c: fn is given the first bytes of the socket, the BIO those behind them. NULL when memory is out. */
BIO *tls_preamble_new(int fd, tls_preamble_fn fn, void *arg);

/* tls_peer.c */
/* The names of a certificate; *own_text is what they point to. False when they cannot be read or are too many, or memory is out. */
MUSTCHECK bool tls_peer_read(X509 *leaf, struct net_peer *peer, char **own_text);

#endif
