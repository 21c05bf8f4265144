/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The names in a certificate that was verified. A name with a NUL or another byte that has no place in it is left out:
 * whoever compares it later must not see less than the CA has signed. Must never make two URIs one. Any thread.
 */
#include <string.h>

#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tls_priv.h"

#define NAMES_BYTES_MAX (16 * 1024)
#define NAME_BYTES_MAX 2048
#define CENTURY_S (INT64_C(100) * 366 * 86400)

/* Offsets into the text that is being made: it may move. */
struct found {
	size_t at;
	size_t n;
};

struct names {
	struct buf text;
	struct found spiffe;
	struct found dns[PEER_DNS_MAX];
	size_t n_dns;
	struct found common;
	size_t n_uris;
};

/* Visible ASCII without blanks. */
static bool
is_plain(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	}
	return s.n > 0 && s.n <= NAME_BYTES_MAX;
}

static struct span
text_of(const ASN1_STRING *s)
{
	return span_of((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

static struct found
add(struct buf *b, struct span s, bool is_lower)
{
	struct found f = {.at = b->n, .n = s.n};

	for (size_t i = 0; i < s.n; i++) {
		bool is_upper = s.p[i] >= 'A' && s.p[i] <= 'Z';
		buf_add_char(b, is_upper && is_lower ? (char)(s.p[i] + ('a' - 'A')) : s.p[i]);
	}
	return f;
}

/* False for a name that there is no room for: whoever looks for it must not miss it. */
static bool
take_name(struct names *names, const GENERAL_NAME *name)
{
	if (name->type == GEN_URI) {
		struct span uri = text_of(name->d.uniformResourceIdentifier);
		struct span scheme = SPAN_LIT("spiffe://");
		names->n_uris++;
		bool is_one = names->n_uris == 1 && is_plain(uri) && uri.n > scheme.n &&
			      memcmp(uri.p, scheme.p, scheme.n) == 0;
		names->spiffe = is_one ? add(&names->text, uri, false) : (struct found){0};
	} else if (name->type == GEN_DNS && is_plain(text_of(name->d.dNSName))) {
		if (names->n_dns == PEER_DNS_MAX)
			return false;
		names->dns[names->n_dns++] = add(&names->text, text_of(name->d.dNSName), true);
	}
	return true;
}

/* False when they cannot be read, or are too many. */
static bool
take_alternatives(struct names *names, const X509 *leaf)
{
	bool is_whole = true;
	int state = 0;
	GENERAL_NAMES *list = X509_get_ext_d2i(leaf, NID_subject_alt_name, &state, NULL);

	if (list == NULL)
		return state == -1;
	for (int i = 0; i < sk_GENERAL_NAME_num(list) && is_whole; i++)
		is_whole = take_name(names, sk_GENERAL_NAME_value(list, i));
	GENERAL_NAMES_free(list);
	return is_whole;
}

/* One that is there twice says nothing. */
static void
take_common(struct names *names, const X509 *leaf)
{
	X509_NAME *subject = X509_get_subject_name(leaf);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	unsigned char *utf8 = NULL;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return;
	int n = ASN1_STRING_to_UTF8(
		&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	struct span name = span_of((const char *)utf8, n > 0 ? (size_t)n : 0);
	bool is_good = n > 0 && n <= NAME_BYTES_MAX;
	for (size_t i = 0; i < name.n && is_good; i++)
		is_good = (unsigned char)name.p[i] >= ' ' && name.p[i] != '\x7f';
	if (is_good)
		names->common = add(&names->text, name, false);
	OPENSSL_free(utf8);
}

static struct span
span_in(const char *text, struct found f)
{
	return f.n > 0 ? span_of(text + f.at, f.n) : SPAN_NONE;
}

bool
tls_peer_read(X509 *leaf, struct net_peer *peer, char **own_text)
{
	struct names names = {0};

	buf_init(&names.text, NAMES_BYTES_MAX);
	bool is_read = take_alternatives(&names, leaf);
	take_common(&names, leaf);
	char *text =
		is_read && !buf_failed(&names.text) ? mem_dup_span(buf_span(&names.text)) : NULL;
	buf_fini(&names.text);
	if (text == NULL)
		return false;
	int64_t left_s = tls_seconds_until(X509_get0_notAfter(leaf));
	peer->certificate_end_wall_ns =
		left_s > 0
			? clock_wall_ns() + (left_s < CENTURY_S ? left_s : CENTURY_S) * NS_PER_SEC
			: 0;
	peer->has_certificate = true;
	peer->spiffe_id = span_in(text, names.spiffe);
	peer->common_name = span_in(text, names.common);
	peer->n_dns = names.n_dns;
	for (size_t i = 0; i < names.n_dns; i++)
		peer->dns[i] = span_in(text, names.dns[i]);
	*own_text = text;
	return true;
}
