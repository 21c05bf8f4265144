/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of revoked client certificates. Where there is one, each CA between a client's certificate and the one that is trusted has to have
 * a list that is in its time: without it nobody knows, and the client is refused. Must never take a list that its CA has not signed. Any
 * thread.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/clock.h"
#include "tls_priv.h"

/* All of the PEM blocks are lists, and there is one at least. */
static enum err
parse(BIO *bio, STACK_OF(X509_CRL) * list)
{
	X509_CRL *crl;

	while ((crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
		if (sk_X509_CRL_push(list, crl) == 0) {
			X509_CRL_free(crl);
			return ERR_NOMEM;
		}
	}
	bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	ERR_clear_error();
	return is_end && sk_X509_CRL_num(list) > 0 ? OK : ERR_PARSE;
}

static enum err
read_lists(const char *path, STACK_OF(X509_CRL) * list, struct errinfo *ei)
{
	struct buf b;

	enum err rc = tls_read_file(path, &b, ei);
	if (rc != OK)
		return rc;
	BIO *bio = BIO_new_mem_buf(buf_span(&b).p, (int)b.n);
	rc = bio != NULL ? parse(bio, list) : ERR_NOMEM;
	BIO_free(bio);
	buf_fini(&b);
	if (rc == ERR_PARSE)
		return ERR(ei, rc, "%s holds no lists of revoked certificates in PEM", path);
	return rc == OK ? OK : ERR(ei, rc, "out of memory");
}

/* One of a CA that only clients send is looked at when they do. */
static bool
is_forged(X509_CRL *crl, STACK_OF(X509) * cas)
{
	bool is_known = false;

	for (int i = 0; i < sk_X509_num(cas); i++) {
		X509 *ca = sk_X509_value(cas, i);
		if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) != 0)
			continue;
		is_known = true;
		if (X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
			return false;
	}
	ERR_clear_error();
	return is_known;
}

static enum err
check(const char *path, X509_CRL *crl, STACK_OF(X509) * cas, int64_t *left_s, struct errinfo *ei)
{
	const ASN1_TIME *end = X509_CRL_get0_nextUpdate(crl);

	*left_s = end != NULL ? tls_seconds_until(end) : 0;
	if (X509_cmp_current_time(X509_CRL_get0_lastUpdate(crl)) >= 0)
		return ERR(ei, ERR_INVALID,
			"a list of revoked certificates in %s is not valid yet; look at this "
			"host's clock",
			path);
	if (*left_s <= 0)
		return ERR(ei, ERR_INVALID,
			"a list of revoked certificates in %s has expired; put a new one there",
			path);
	if (is_forged(crl, cas))
		return ERR(ei, ERR_INVALID,
			"a list of revoked certificates in %s is not signed by the CA that it "
			"names",
			path);
	return OK;
}

static enum err
install(X509_STORE *store, const char *path, STACK_OF(X509) * cas, STACK_OF(X509_CRL) * list,
	int64_t *end_s, struct errinfo *ei)
{
	enum err rc = read_lists(path, list, ei);

	*end_s = INT64_MAX;
	for (int i = 0; i < sk_X509_CRL_num(list) && rc == OK; i++) {
		X509_CRL *crl = sk_X509_CRL_value(list, i);
		int64_t left_s = 0;
		rc = check(path, crl, cas, &left_s, ei);
		if (rc == OK && X509_STORE_add_crl(store, crl) != 1)
			rc = tls_error(ei, path);
		int64_t end = clock_wall_ns() / NS_PER_SEC + left_s;
		*end_s = end < *end_s ? end : *end_s;
	}
	if (rc == OK &&
		X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) != 1)
		rc = tls_error(ei, path);
	return rc;
}

enum err
tls_crl_install(X509_STORE *store, const char *path, STACK_OF(X509) * cas, int64_t *end_s,
	struct errinfo *ei)
{
	STACK_OF(X509_CRL) *list = sk_X509_CRL_new_null();

	if (list == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	ERR_clear_error();
	enum err rc = install(store, path, cas, list, end_s, ei);
	sk_X509_CRL_pop_free(list, X509_CRL_free);
	return rc;
}

int
tls_crl_judge(int is_good, X509_STORE_CTX *x)
{
	int depth = X509_STORE_CTX_get_error_depth(x);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(x);

	/* The one that is trusted as it is need not be in a list; one that is there is looked at. */
	if (is_good != 0 || X509_STORE_CTX_get_error(x) != X509_V_ERR_UNABLE_TO_GET_CRL ||
		depth == 0 || depth != sk_X509_num(chain) - 1)
		return is_good;
	X509_STORE_CTX_set_error(x, X509_V_OK);
	return 1;
}
