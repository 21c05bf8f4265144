/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of clients: checked against the listener's own CAs, for use by clients. Whatever is wrong with one, the
 * client sees the same alert; the reason is for the log. Must never let one pass that was not checked whole. Any thread.
 */
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls_priv.h"

#define CHAIN_MAX 8

static _Thread_local const char *refusal;

const char *
tls_client_take_refusal(void)
{
	const char *why = refusal;

	refusal = NULL;
	return why;
}

/* In place of the library's own check, which it calls: one answer for all that is wrong. */
static int
verify(X509_STORE_CTX *x, void *arg)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(x);

	(void)arg;
	X509_STORE_CTX_set_verify_cb(x, tls_crl_judge);
	if (X509_verify_cert(x) != 1)
		refusal = X509_verify_cert_error_string(X509_STORE_CTX_get_error(x));
	else if ((X509_get_extension_flags(leaf) & EXFLAG_CA) != 0)
		refusal = "it is that of a CA";
	else
		return 1;
	X509_STORE_CTX_set_error(x, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

bool
tls_client_verify_again(SSL *ssl, const struct tls_context *now)
{
	X509 *leaf = SSL_get0_peer_certificate(ssl);
	X509_STORE_CTX *x = X509_STORE_CTX_new();

	/* As the library prepares it for a handshake. */
	bool is_good = leaf != NULL && x != NULL &&
		       X509_STORE_CTX_init(x, SSL_CTX_get_cert_store(now->ssl), leaf,
			       SSL_get_peer_cert_chain(ssl)) == 1 &&
		       X509_STORE_CTX_set_default(x, "ssl_client") == 1;
	if (is_good) {
		X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(x);
		X509_VERIFY_PARAM_set_depth(param, CHAIN_MAX);
		X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(ssl));
		is_good = verify(x, NULL) == 1;
	}
	X509_STORE_CTX_free(x);
	ERR_clear_error();
	return is_good;
}

/* Each is trusted as it is, also an intermediate one without its root. */
static bool
trust(SSL_CTX *ssl, X509_STORE *store, STACK_OF(X509) * list)
{
	bool is_done = true;

	for (int i = 0; i < sk_X509_num(list) && is_done; i++)
		is_done = X509_STORE_add_cert(store, sk_X509_value(list, i)) == 1 &&
			  SSL_CTX_add_client_CA(ssl, sk_X509_value(list, i)) == 1;
	return is_done && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1 &&
	       X509_STORE_set_purpose(store, X509_PURPOSE_SSL_CLIENT) == 1;
}

static enum err
fill_store(SSL_CTX *ssl, X509_STORE *store, const struct tls_options *o, int64_t *crl_end_s,
	struct errinfo *ei)
{
	STACK_OF(X509) *list = NULL;

	enum err rc = tls_read_certificates(o->client_ca_file, &list, ei);
	if (rc != OK)
		return rc;
	if (!trust(ssl, store, list))
		rc = tls_error(ei, o->client_ca_file);
	if (rc == OK && o->client_crl_file != NULL)
		rc = tls_crl_install(store, o->client_crl_file, list, crl_end_s, ei);
	sk_X509_pop_free(list, X509_free);
	return rc;
}

enum err
tls_client_install(
	SSL_CTX *ssl, const struct tls_options *o, int64_t *crl_end_s, struct errinfo *ei)
{
	X509_STORE *store = X509_STORE_new();

	*crl_end_s = INT64_MAX;
	if (store == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = fill_store(ssl, store, o, crl_end_s, ei);
	if (rc != OK) {
		X509_STORE_free(store);
		return rc;
	}
	/* A chain that we would send with our own certificate is none of its business. */
	SSL_CTX_set_cert_store(ssl, store);
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
	SSL_CTX_set_mode(ssl, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_verify_depth(ssl, CHAIN_MAX);
	SSL_CTX_set_cert_verify_callback(ssl, verify, NULL);
	SSL_CTX_set_verify(ssl,
		SSL_VERIFY_PEER |
			(o->client_auth == TLS_CLIENT_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT
							       : 0),
		NULL);
	return rc;
}
