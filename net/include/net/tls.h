/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS of listening sockets: certificates, the CA of client certificates, session tickets, kept in files and read anew
 * when the files change. TLS 1.2 and 1.3 with forward secrecy and authenticated ciphers, ALPN "http/1.1", no
 * renegotiation, no compression, no early data; the certificate is chosen by the server name that the client asks for.
 *
 * A context is immutable and counts its references; connections keep the one they began with. A keeper holds the one
 * for new connections. Any thread, but for tls_keeper_look, which reads files and is called by one thread at a time.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define TLS_PAIRS_MAX 64

/* Paths of one certificate. */
struct tls_pair {
	const char *cert_file; /* PEM: the certificate, then its chain */
	const char *key_file;  /* PEM, without a passphrase */
	const char *ocsp_file; /* DER, the CA's answer about it; NULL: none is stapled */
};

enum tls_client_auth {
	TLS_CLIENT_NONE = 0, /* no certificate is asked for */
	TLS_CLIENT_OPTIONAL, /* one that is shown has to be good */
	TLS_CLIENT_REQUIRED,
};

struct tls_options {
	const struct tls_pair
		*pairs; /* the first one is for unknown names and clients that name none */
	size_t n_pairs; /* 1 to TLS_PAIRS_MAX */
	const char *
		client_ca_file; /* PEM, those trusted to sign client certificates; NULL with TLS_CLIENT_NONE */
	const char *client_crl_file; /* PEM, lists of revoked ones; NULL: none is asked */
	enum tls_client_auth client_auth;
	bool needs_tls13;
	int64_t ticket_lifetime_s; /* a session may be resumed so long after its key was made, at most twice that; 0: never */
};

struct tls_context;
struct tls_keeper;

/* Copies *o and reads the files. ERR_NOT_FOUND, ERR_IO, ERR_PARSE (a file is not what it should be), ERR_INVALID (a pair
 * that does not match, a certificate or a list out of its time, bad options), ERR_CRYPTO, ERR_NOMEM; the text names the file. */
MUSTCHECK enum err tls_keeper_new(
	const struct tls_options *o, struct tls_keeper **out, struct errinfo *ei);
/* No server may use it any more. */
void tls_keeper_free(struct tls_keeper **k);
/* Reads the files anew if they changed since the last look, or when is_forced. *has_changed: new connections get something new.
 * On an error, as tls_keeper_new, they go on with what they had; it is told once for each state of the files. */
MUSTCHECK enum err tls_keeper_look(
	struct tls_keeper *k, bool is_forced, bool *has_changed, struct errinfo *ei);
/* A reference to the context for new connections. */
struct tls_context *tls_keeper_take(struct tls_keeper *k);
/* Changes with each new context. */
unsigned tls_keeper_get_version(const struct tls_keeper *k);

/* What the files hold now, for nobody's connections; options and errors as tls_keeper_new. */
MUSTCHECK enum err tls_context_try(
	const struct tls_options *o, struct tls_context **out, struct errinfo *ei);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context **c);
/* Whether the server behind the connected socket has the key of one of its certificates, as a handshake of TLS 1.3 proves; who signed
 * them is not asked, nor is a certificate shown. Blocks as the socket does; the caller closes it. */
bool tls_context_is_served(const struct tls_context *c, int fd);
/* When the first of its certificates ends, in seconds since 1970. */
int64_t tls_context_get_end_s(const struct tls_context *c);
/* When the first of the CA's answers about them (ocsp_file) ends; one is no longer sent from then on. 0: there are none, INT64_MAX: it never ends. */
int64_t tls_context_get_ocsp_end_s(const struct tls_context *c);
/* When the first list of revoked client certificates (client_crl_file) ends; every client certificate is refused from then on. INT64_MAX: there is none. */
int64_t tls_context_get_crl_end_s(const struct tls_context *c);

/* When the first and the last certificate of a PEM file end, in seconds since 1970. As tls_keeper_new. */
MUSTCHECK enum err tls_find_ends(
	const char *path, int64_t *first_s, int64_t *last_s, struct errinfo *ei);

/* What of it has ended while it is in use, for the log; NULL: nothing. The same text for the same thing. */
const char *tls_context_find_over(const struct tls_context *c);

/* Whether others than the owner and its group may read the file: a key should not be so. False when it cannot be told. */
bool tls_key_is_exposed(const char *path);

#endif
