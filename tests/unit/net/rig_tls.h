/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for rigs: certificates that are made when a test begins, a client that shares the rig's thread. With
 * NOMOS_TEST_TLS=yes in the environment every rig of a test program speaks TLS. Test programs only.
 */
#ifndef TESTS_UNIT_NET_RIG_TLS_H
#define TESTS_UNIT_NET_RIG_TLS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "net/tls.h"
#include "support/test.h"

/* What a certificate is to say. */
struct rig_cert {
	const char *common_name;
	const char *alternatives; /* as in an OpenSSL configuration; NULL: none */
	const char *usage;        /* extendedKeyUsage; NULL: none */
	long begins_s;            /* from now */
	long ends_s;              /* from now; 0: in a day */
	bool is_ca;
	X509 *issuer; /* NULL: signed by itself */
	EVP_PKEY *issuer_key;
};

UNUSED static void
rig_add_extension(X509 *x, int nid, const char *value)
{
	X509V3_CTX context;

	X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	CHECK(extension != NULL && X509_add_ext(x, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

UNUSED static X509 *
rig_make_cert(const struct rig_cert *o, EVP_PKEY **key)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	static long serial;

	*key = EVP_EC_gen("P-256");
	CHECK(*key != NULL);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(x), o->begins_s);
	X509_gmtime_adj(X509_getm_notAfter(x), o->ends_s != 0 ? o->ends_s : 86400);
	X509_set_pubkey(x, *key);
	X509_NAME_add_entry_by_txt(
		name, "CN", MBSTRING_UTF8, (const unsigned char *)o->common_name, -1, -1, 0);
	X509_set_issuer_name(x, o->issuer != NULL ? X509_get_subject_name(o->issuer) : name);
	rig_add_extension(x, NID_basic_constraints, o->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (o->alternatives != NULL)
		rig_add_extension(x, NID_subject_alt_name, o->alternatives);
	if (o->usage != NULL)
		rig_add_extension(x, NID_ext_key_usage, o->usage);
	CHECK(X509_sign(x, o->issuer_key != NULL ? o->issuer_key : *key, EVP_sha256()) > 0);
	return x;
}

/* Replaces the file by another one, as an agent that rotates certificates does. */
UNUSED static void
rig_write_pem(const char *path, X509 *x, EVP_PKEY *key)
{
	char temporary[512];

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "w");
	CHECK(f != NULL);
	if (x != NULL)
		CHECK(PEM_write_X509(f, x) == 1);
	if (key != NULL)
		CHECK(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
	CHECK(fclose(f) == 0);
	CHECK(rename(temporary, path) == 0);
}

/* A certificate for "localhost" in a folder of its own, which is removed. */
UNUSED static struct tls_keeper *
rig_make_keeper(void)
{
	char folder[] = "/tmp/nomos-rig-XXXXXX";
	char cert_file[64];
	char key_file[64];
	struct rig_cert o = {.common_name = "rig", .alternatives = "DNS:localhost"};
	struct tls_keeper *keeper = NULL;
	struct errinfo ei = {0};
	EVP_PKEY *key;

	CHECK(mkdtemp(folder) != NULL);
	snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", folder);
	snprintf(key_file, sizeof(key_file), "%s/key.pem", folder);
	X509 *x = rig_make_cert(&o, &key);
	rig_write_pem(cert_file, x, NULL);
	rig_write_pem(key_file, NULL, key);
	struct tls_pair pair = {.cert_file = cert_file, .key_file = key_file};
	struct tls_options options = {.pairs = &pair, .n_pairs = 1, .ticket_lifetime_s = 3600};
	CHECK_INT(tls_keeper_new(&options, &keeper, &ei), OK);
	X509_free(x);
	EVP_PKEY_free(key);
	unlink(cert_file);
	unlink(key_file);
	rmdir(folder);
	return keeper;
}

/* A client's side of TLS on fd, without a look at the server's certificate. */
UNUSED static SSL *
rig_tls_client(int fd)
{
	/* Made once: it costs more than a handshake. */
	static SSL_CTX *context;

	if (context == NULL)
		context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(context);
	SSL_set_options(ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_set_mode(ssl, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_ENABLE_PARTIAL_WRITE);
	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	return ssl;
}

#endif
