/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Each line is cut into its elements from the left, as its grammar wants it, and judged from the right. */
#include "net/forwarded.h"

/* The last addresses that one line names, left to right, each at its number modulo the most; an element that names none is empty. */
struct hops {
	struct span v[FORWARDED_HOPS_MAX];
	size_t n; /* all of them */
};

enum judgement { NOT_THERE = 0, KNOWN, UNKNOWN };

struct finding {
	enum judgement judgement;
	struct span client; /* KNOWN */
};

/* A line into hops; false when it is malformed. */
typedef bool (*cut_fn)(struct span line, struct hops *out);

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span
skip_blanks(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = span_from(s, 1);
	return s;
}

/* What a client writes stands first, and must not crowd out what proxies have added behind it. */
static void
add_hop(struct hops *out, struct span address)
{
	out->v[out->n % FORWARDED_HOPS_MAX] = address;
	out->n++;
}

/* "192.0.2.7", "192.0.2.7:4711", "[2001:db8::7]:4711" or, without brackets and port, IPv6: its address; empty when it is none.
 * The port does not matter. */
static struct span
take_address(struct span node)
{
	struct span host = node;
	struct address a;

	if (node.n > 0 && node.p[0] == '[') {
		size_t end = span_find(node, ']');
		if (end == node.n || (end + 1 < node.n && node.p[end + 1] != ':'))
			return SPAN_NONE;
		host = span_of(node.p + 1, end - 1);
	} else {
		size_t colon = span_find(node, ':');
		if (colon < node.n &&
			span_find(span_from(node, colon + 1), ':') == node.n - colon - 1)
			host = span_of(node.p, colon);
	}
	return address_parse(host, &a) ? host : SPAN_NONE;
}

/* X-Forwarded-For: addresses with commas between them. */
static bool
cut_plain(struct span line, struct hops *out)
{
	while (line.n > 0) {
		size_t n = span_find(line, ',');
		struct span element = span_trim(span_of(line.p, n));
		if (element.n > 0)
			add_hop(out, take_address(element));
		line = span_from(line, n < line.n ? n + 1 : n);
	}
	return true;
}

/* A value of Forwarded: a token, or a string in quotes, in which no address needs an escape. */
static bool
take_value(struct span *rest, struct span *value)
{
	size_t n = 0;

	if (rest->n > 0 && rest->p[0] == '"') {
		struct span inner = span_from(*rest, 1);
		n = span_find(inner, '"');
		*value = span_of(inner.p, n);
		if (n == inner.n || span_find(*value, '\\') < n)
			return false;
		*rest = span_from(inner, n + 1);
		return true;
	}
	while (n < rest->n && rest->p[n] != ';' && rest->p[n] != ',' && !is_blank(rest->p[n]))
		n++;
	*value = span_of(rest->p, n);
	*rest = span_from(*rest, n);
	return http_is_token(*value);
}

/* name=value; blanks may only be around it. *n_for counts those that name an address. */
static bool
take_pair(struct span *rest, size_t *n_for, struct span *address)
{
	size_t n = span_find(*rest, '=');
	struct span name = span_of(rest->p, n);
	struct span value;

	if (n == rest->n || !http_is_token(name))
		return false;
	*rest = span_from(*rest, n + 1);
	if (!take_value(rest, &value))
		return false;
	if (span_eq_nocase(name, SPAN_LIT("for"))) {
		*address = take_address(value);
		*n_for += 1;
	}
	*rest = skip_blanks(*rest);
	return rest->n == 0 || rest->p[0] == ';' || rest->p[0] == ',';
}

/* One element of Forwarded, up to its comma, which is taken too. */
static bool
take_element(struct span *rest, struct hops *out)
{
	struct span address = SPAN_NONE;
	bool has_pair = false;
	size_t n_for = 0;

	for (;;) {
		*rest = skip_blanks(*rest);
		if (rest->n > 0 && rest->p[0] != ';' && rest->p[0] != ',') {
			has_pair = true;
			if (!take_pair(rest, &n_for, &address) || n_for > 1)
				return false;
		}
		if (rest->n == 0 || rest->p[0] == ',')
			break;
		*rest = span_from(*rest, 1);
	}
	if (rest->n > 0)
		*rest = span_from(*rest, 1);
	if (has_pair)
		add_hop(out, address);
	return true;
}

static bool
cut_pairs(struct span line, struct hops *out)
{
	while (line.n > 0) {
		if (!take_element(&line, out))
			return false;
	}
	return true;
}

/* Goes on from what the lines behind have come to; true when nothing before can change it. */
static bool
judge_line(struct span line, cut_fn cut, const struct trusted_proxies *trusted, struct finding *f)
{
	struct hops hops = {.n = 0};

	if (!cut(line, &hops)) {
		f->judgement = UNKNOWN;
		return true;
	}
	for (size_t i = hops.n; i > 0; i--) {
		if (i + FORWARDED_HOPS_MAX <= hops.n) {
			f->judgement = UNKNOWN;
			return true;
		}
		struct span address = hops.v[(i - 1) % FORWARDED_HOPS_MAX];
		f->judgement = address.n > 0 ? KNOWN : UNKNOWN;
		f->client = address;
		if (address.n == 0 || !trusted_proxies_has(trusted, address))
			return true;
	}
	return false;
}

static struct finding
judge(const struct http_header *headers, size_t n, struct span name, cut_fn cut,
	const struct trusted_proxies *trusted)
{
	struct finding f = {NOT_THERE, SPAN_NONE};

	for (size_t i = n; i > 0; i--) {
		if (span_eq_nocase(headers[i - 1].name, name) &&
			judge_line(headers[i - 1].value, cut, trusted, &f))
			break;
	}
	return f;
}

static bool
is_same(struct span a, struct span b)
{
	struct address one;
	struct address two;

	return address_parse(a, &one) && address_parse(b, &two) &&
	       span_eq(span_of((const char *)one.bytes, sizeof(one.bytes)),
		       span_of((const char *)two.bytes, sizeof(two.bytes)));
}

struct span
forwarded_find_client(const struct http_header *headers, size_t n,
	const struct trusted_proxies *trusted, struct span peer)
{
	struct finding a = judge(headers, n, SPAN_LIT("Forwarded"), cut_pairs, trusted);
	struct finding b = judge(headers, n, SPAN_LIT("X-Forwarded-For"), cut_plain, trusted);

	if (a.judgement == UNKNOWN || b.judgement == UNKNOWN)
		return SPAN_NONE;
	if (a.judgement == KNOWN && b.judgement == KNOWN)
		return is_same(a.client, b.client) ? a.client : SPAN_NONE;
	if (a.judgement == KNOWN)
		return a.client;
	return b.judgement == KNOWN ? b.client : peer;
}

bool
forwarded_is_https(const struct http_header *headers, size_t n)
{
	for (size_t i = n; i > 0; i--) {
		struct span value = headers[i - 1].value;
		if (!span_eq_nocase(headers[i - 1].name, SPAN_LIT("X-Forwarded-Proto")))
			continue;
		for (size_t comma = span_find(value, ','); comma < value.n;
			comma = span_find(value, ','))
			value = span_from(value, comma + 1);
		return span_eq_nocase(span_trim(value), SPAN_LIT("https"));
	}
	return false;
}
