/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Addresses as sixteen bytes each, IPv4 mapped into IPv6, so that one comparison serves both. */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/must.h"
#include "base/parse.h"

#define MAPPED_BYTES 12 /* ::ffff: */
#define IPV6_HOST_BYTES 8
#define SPIFFE_PREFIX SPAN_LIT("spiffe://")
#define DNS_PREFIX SPAN_LIT("dns:")

static const uint8_t mapped[MAPPED_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool
address_parse(struct span text, struct address *out)
{
	char host[ADDRESS_NETWORK_TEXT_MAX];

	*out = (struct address){{0}};
	if (text.n == 0 || text.n >= sizeof(host) || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(host, text.p, text.n);
	host[text.n] = '\0';
	if (inet_pton(AF_INET, host, out->bytes + MAPPED_BYTES) == 1) {
		memcpy(out->bytes, mapped, MAPPED_BYTES);
		return true;
	}
	return inet_pton(AF_INET6, host, out->bytes) == 1;
}

bool
address_of_sockaddr(const struct sockaddr *sa, struct address *out)
{
	*out = (struct address){{0}};
	if (sa->sa_family == AF_INET) {
		memcpy(out->bytes, mapped, MAPPED_BYTES);
		memcpy(out->bytes + MAPPED_BYTES,
			&((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	} else {
		return false;
	}
	return true;
}

bool
address_is_ipv4(const struct address *a)
{
	return memcmp(a->bytes, mapped, MAPPED_BYTES) == 0;
}

void
address_format(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
	bool is_ipv4 = address_is_ipv4(a);

	MUST(inet_ntop(is_ipv4 ? AF_INET : AF_INET6, a->bytes + (is_ipv4 ? MAPPED_BYTES : 0), out,
		     ADDRESS_TEXT_MAX) != NULL);
}

enum err
address_network_parse(struct span text, struct address_network *out, struct errinfo *ei)
{
	size_t slash = span_find(text, '/');
	struct address a;

	*out = (struct address_network){0};
	bool is_good = address_parse(span_of(text.p, slash), &a);
	/* A mapped one that was written as IPv6 is counted as such. */
	bool is_ipv4 = is_good && memchr(text.p, ':', slash) == NULL;
	unsigned bits_before = is_ipv4 ? MAPPED_BYTES * 8 : 0;
	uint64_t n_bits = 128 - bits_before;
	if (is_good && slash < text.n)
		is_good = parse_uint(span_from(text, slash + 1), 128 - bits_before, &n_bits);
	if (!is_good)
		return ERR(ei, ERR_PARSE,
			"\"%.*s\" is not an address or network: use 10.0.0.1, 10.0.0.0/8, ::1 or "
			"2001:db8::/32",
			SPAN_ARG(text));
	memcpy(out->bytes, a.bytes, sizeof(out->bytes));
	out->n_bits = bits_before + (unsigned)n_bits;
	return OK;
}

static bool
is_in_one(const uint8_t *bytes, const struct address_network *network)
{
	size_t n = network->n_bits / 8;
	unsigned rest = network->n_bits % 8;

	if (memcmp(bytes, network->bytes, n) != 0)
		return false;
	return rest == 0 || (bytes[n] >> (8 - rest)) == (network->bytes[n] >> (8 - rest));
}

bool
address_is_in(const struct address *a, const struct address_network *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_in_one(a->bytes, &v[i]))
			return true;
	}
	return false;
}

void
address_cut_host(struct address *a)
{
	if (!address_is_ipv4(a))
		memset(a->bytes + IPV6_HOST_BYTES, 0, sizeof(a->bytes) - IPV6_HOST_BYTES);
}

/* Visible ASCII behind the prefix, so that it can stand in a certificate. */
static bool
is_name(struct span text, struct span prefix)
{
	bool is_good = text.n > prefix.n && span_starts(text, prefix);

	for (size_t i = 0; i < text.n && is_good; i++)
		is_good = text.p[i] > ' ' && text.p[i] <= '~';
	return is_good;
}

enum err
trusted_proxies_add(struct trusted_proxies *t, struct span text, struct errinfo *ei)
{
	bool is_certificate = is_name(text, SPIFFE_PREFIX) || is_name(text, DNS_PREFIX);

	if (span_eq(text, SPAN_LIT("unix:"))) {
		t->has_unix = true;
		return OK;
	}
	if (t->n + t->n_names == TRUSTED_PROXIES_MAX)
		return ERR(
			ei, ERR_TOO_LARGE, "more than %d networks and names", TRUSTED_PROXIES_MAX);
	if (is_certificate) {
		t->names[t->n_names++] = text;
		return OK;
	}
	if (address_network_parse(text, &t->v[t->n], ei) != OK)
		return ERR(ei, ERR_PARSE,
			"\"%.*s\" is no trusted proxy: use an address, a network (10.0.0.0/8), "
			"unix:, "
			"or a name in its certificate, spiffe://DOMAIN/PATH or dns:NAME",
			SPAN_ARG(text));
	t->n++;
	return OK;
}

bool
trusted_proxies_has_spiffe_id(const struct trusted_proxies *t, struct span id)
{
	for (size_t i = 0; i < t->n_names; i++) {
		if (id.n > 0 && span_starts(t->names[i], SPIFFE_PREFIX) && span_eq(t->names[i], id))
			return true;
	}
	return false;
}

bool
trusted_proxies_has_dns_name(const struct trusted_proxies *t, struct span name)
{
	for (size_t i = 0; i < t->n_names; i++) {
		if (name.n > 0 && span_starts(t->names[i], DNS_PREFIX) &&
			span_eq_nocase(span_from(t->names[i], DNS_PREFIX.n), name))
			return true;
	}
	return false;
}

bool
trusted_proxies_has(const struct trusted_proxies *t, struct span text)
{
	struct address a;

	return address_parse(text, &a) && address_is_in(&a, t->v, t->n);
}
