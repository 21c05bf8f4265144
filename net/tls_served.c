/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether who answers has a key of ours. The handshake of TLS 1.3 ends for the client behind the server's signature, and before a
 * server that wants a certificate can say so. Any thread that may block.
 */
#include <openssl/err.h>

#include "base/must.h"
#include "tls_priv.h"

static bool
is_own(const struct tls_context *c, X509 *shown)
{
	EVP_PKEY *theirs = X509_get0_pubkey(shown);

	for (size_t i = 0; theirs != NULL && i < c->n_certificates; i++) {
		if (EVP_PKEY_eq(c->certificates[i].key, theirs) == 1)
			return true;
	}
	return false;
}

bool
tls_context_is_served(const struct tls_context *c, int fd)
{
	SSL_CTX *client = SSL_CTX_new(TLS_client_method());
	SSL *ssl = NULL;
	bool is_ours = false;

	OBJ_CHECK(c, TLS_CONTEXT_MAGIC);
	if (client != NULL && SSL_CTX_set_min_proto_version(client, TLS1_3_VERSION) == 1)
		ssl = SSL_new(client);
	if (ssl != NULL && SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1) {
		X509 *shown = SSL_get1_peer_certificate(ssl);
		is_ours = shown != NULL && is_own(c, shown);
		X509_free(shown);
	}
	SSL_free(ssl);
	SSL_CTX_free(client);
	ERR_clear_error();
	return is_ours;
}
