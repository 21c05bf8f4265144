/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A certificate, its chain, its key and the CA's answer about it, out of files. Must never hand out a pair that does
 * not match, nor a certificate out of its time; the key's bytes are wiped. Any thread.
 */
#include <string.h>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/mem.h"
#include "tls_priv.h"

#define FILE_BYTES_MAX (1024 * 1024)
/* Clocks of a CA and ours may differ by so much. */
#define OCSP_SKEW_S 300

enum err
tls_error(struct errinfo *ei, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);
	bool is_nomem = ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;

	ERR_clear_error();
	return ERR(ei, is_nomem ? ERR_NOMEM : ERR_CRYPTO, "%s: %s", what,
		reason != NULL ? reason : "failed");
}

enum err
tls_read_file(const char *path, struct buf *b, struct errinfo *ei)
{
	buf_init(b, FILE_BYTES_MAX);
	enum err rc = fdio_read_file(path, FILE_BYTES_MAX, b, ei);
	if (rc != OK)
		buf_fini(b);
	return rc;
}

/* All of the PEM blocks are certificates, and there is one at least. */
static enum err
parse_certificates(BIO *bio, STACK_OF(X509) * list)
{
	X509 *x;

	while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_push(list, x) == 0) {
			X509_free(x);
			return ERR_NOMEM;
		}
	}
	bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return is_end && sk_X509_num(list) > 0 ? OK : ERR_PARSE;
}

enum err
tls_read_certificates(const char *path, STACK_OF(X509) * *out, struct errinfo *ei)
{
	struct buf b;

	*out = NULL;
	enum err rc = tls_read_file(path, &b, ei);
	if (rc != OK)
		return rc;
	BIO *bio = BIO_new_mem_buf(buf_span(&b).p, (int)b.n);
	STACK_OF(X509) *list = sk_X509_new_null();
	rc = bio != NULL && list != NULL ? parse_certificates(bio, list) : ERR_NOMEM;
	BIO_free(bio);
	buf_fini(&b);
	if (rc == OK) {
		*out = list;
		return OK;
	}
	sk_X509_pop_free(list, X509_free);
	return rc == ERR_NOMEM ? ERR(ei, rc, "out of memory")
			       : ERR(ei, rc, "%s holds no certificates in PEM", path);
}

/* A key with a passphrase must not ask for it on a terminal. */
static int
no_passphrase(char *out, int size, int is_writing, void *arg)
{
	(void)is_writing;
	(void)arg;
	if (size > 0)
		out[0] = '\0';
	return -1;
}

static enum err
read_key(const char *path, EVP_PKEY **out, struct errinfo *ei)
{
	struct buf b;

	enum err rc = tls_read_file(path, &b, ei);
	if (rc != OK)
		return rc;
	BIO *bio = BIO_new_mem_buf(buf_span(&b).p, (int)b.n);
	if (bio != NULL)
		*out = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	BIO_free(bio);
	if (b.n > 0)
		mem_wipe(b.p, b.n);
	buf_fini(&b);
	ERR_clear_error();
	if (*out == NULL)
		return ERR(
			ei, ERR_PARSE, "%s holds no private key in PEM without a passphrase", path);
	return OK;
}

int64_t
tls_seconds_until(const ASN1_TIME *t)
{
	int days = 0;
	int seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, t) != 1)
		return 0;
	return (int64_t)days * 86400 + seconds;
}

static enum err
check_time(const char *path, struct tls_certificate *c, struct errinfo *ei)
{
	int64_t left_s = tls_seconds_until(X509_get0_notAfter(c->leaf));

	if (X509_cmp_current_time(X509_get0_notBefore(c->leaf)) >= 0)
		return ERR(ei, ERR_INVALID,
			"the certificate in %s is not valid yet; look at this host's clock", path);
	if (left_s <= 0)
		return ERR(ei, ERR_INVALID,
			"the certificate in %s has expired; put a new one there", path);
	c->end_s = clock_wall_ns() / NS_PER_SEC + left_s;
	return OK;
}

/* Whether the answer says something about now, and until when; one without an end says it for ever. */
static bool
is_fresh(OCSP_RESPONSE *response, int64_t *end_s)
{
	ASN1_GENERALIZEDTIME *since = NULL;
	ASN1_GENERALIZEDTIME *until = NULL;
	OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
	OCSP_SINGLERESP *single = basic != NULL ? OCSP_resp_get0(basic, 0) : NULL;
	bool is_read =
		single != NULL && OCSP_single_get0_status(single, NULL, NULL, &since, &until) >= 0;
	bool is_good = is_read && OCSP_check_validity(since, until, OCSP_SKEW_S, -1) == 1;

	*end_s = is_read && until == NULL ? INT64_MAX : 1;
	if (is_read && until != NULL)
		*end_s = clock_wall_ns() / NS_PER_SEC + tls_seconds_until(until);
	OCSP_BASICRESP_free(basic);
	return is_good;
}

/* An answer that has grown old is left out: clients ask the CA themselves then. */
static enum err
read_ocsp(const char *path, struct tls_certificate *out, struct errinfo *ei)
{
	struct buf b;

	enum err rc = tls_read_file(path, &b, ei);
	if (rc != OK)
		return rc;
	const unsigned char *at = (const unsigned char *)buf_span(&b).p;
	OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)b.n);
	if (response == NULL || OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
		rc = ERR(ei, ERR_PARSE, "%s holds no successful OCSP response in DER", path);
	} else if (is_fresh(response, &out->ocsp_end_s)) {
		out->ocsp = OPENSSL_memdup(b.p, b.n);
		out->ocsp_n = b.n;
		if (out->ocsp == NULL)
			rc = ERR(ei, ERR_NOMEM, "out of memory");
	}
	OCSP_RESPONSE_free(response);
	ERR_clear_error();
	buf_fini(&b);
	return rc;
}

static enum err
load(const struct tls_pair *pair, struct tls_certificate *out, struct errinfo *ei)
{
	enum err rc = tls_read_certificates(pair->cert_file, &out->chain, ei);

	if (rc != OK)
		return rc;
	out->leaf = sk_X509_shift(out->chain);
	rc = read_key(pair->key_file, &out->key, ei);
	if (rc != OK)
		return rc;
	int is_pair = X509_check_private_key(out->leaf, out->key);
	ERR_clear_error();
	if (is_pair != 1)
		return ERR(ei, ERR_INVALID, "the key in %s is not that of the certificate in %s",
			pair->key_file, pair->cert_file);
	rc = check_time(pair->cert_file, out, ei);
	if (rc == OK && pair->ocsp_file != NULL)
		rc = read_ocsp(pair->ocsp_file, out, ei);
	return rc;
}

enum err
tls_certificate_load(const struct tls_pair *pair, struct tls_certificate *out, struct errinfo *ei)
{
	*out = (struct tls_certificate){0};
	enum err rc = load(pair, out, ei);
	if (rc != OK)
		tls_certificate_fini(out);
	return rc;
}

void
tls_certificate_fini(struct tls_certificate *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	OPENSSL_free(c->ocsp);
	*c = (struct tls_certificate){0};
}

bool
tls_certificate_has_answer(const struct tls_certificate *c)
{
	return c->ocsp != NULL &&
	       (c->ocsp_end_s == INT64_MAX ||
		       c->ocsp_end_s + OCSP_SKEW_S > clock_wall_ns() / NS_PER_SEC);
}

enum err
tls_find_ends(const char *path, int64_t *first_s, int64_t *last_s, struct errinfo *ei)
{
	STACK_OF(X509) *list = NULL;
	enum err rc = tls_read_certificates(path, &list, ei);

	*first_s = INT64_MAX;
	*last_s = INT64_MIN;
	for (int i = 0; rc == OK && i < sk_X509_num(list); i++) {
		int64_t end_s = clock_wall_ns() / NS_PER_SEC +
				tls_seconds_until(X509_get0_notAfter(sk_X509_value(list, i)));
		*first_s = end_s < *first_s ? end_s : *first_s;
		*last_s = end_s > *last_s ? end_s : *last_s;
	}
	sk_X509_pop_free(list, X509_free);
	return rc;
}

bool
tls_key_is_exposed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0;
}
