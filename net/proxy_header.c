/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reads the PROXY header anew from its first byte each time that more of it is here: it is short, and nothing is kept between. */
#include "proxy_header.h"

#include <string.h>

#include "base/parse.h"

/* "PROXY UNKNOWN ffff:...:ffff ffff:...:ffff 65535 65535\r\n", as the document counts it. */
#define V1_BYTES_MAX 107
#define V2_BYTES 16
#define IPV4_BYTES 12
#define IPV6_BYTES 36
#define UNIX_BYTES 216
#define TLV_BYTES 3

static const char v2_signature[12] = {
	'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* What is before the next blank, which is taken too; {NULL, 0} when there is none. */
static struct span
take_word(struct span *line)
{
	size_t n = span_find(*line, ' ');

	if (n == line->n)
		return SPAN_NONE;
	struct span word = span_of(line->p, n);
	*line = span_from(*line, n + 1);
	return word;
}

static bool
is_port(struct span text)
{
	uint64_t port;

	return parse_uint(text, 65535, &port);
}

static bool
read_v1_address(struct span text, bool is_ipv4, struct address *out)
{
	/* One of IPv6 that maps one of IPv4 is of IPv6 as it is written. */
	return address_parse(text, out) && (memchr(text.p, ':', text.n) == NULL) == is_ipv4;
}

/* line is without its end. */
static bool
read_v1_line(struct span line, struct proxy_header *out)
{
	struct address server;

	(void)take_word(&line);
	/* Whatever follows is to be ignored. */
	if (span_eq(line, SPAN_LIT("UNKNOWN")) || span_starts(line, SPAN_LIT("UNKNOWN ")))
		return true;
	struct span family = take_word(&line);
	bool is_ipv4 = span_eq(family, SPAN_LIT("TCP4"));
	if (!is_ipv4 && !span_eq(family, SPAN_LIT("TCP6")))
		return false;
	struct span source = take_word(&line);
	struct span destination = take_word(&line);
	struct span port = take_word(&line);
	out->has_client = true;
	return read_v1_address(source, is_ipv4, &out->client) &&
	       read_v1_address(destination, is_ipv4, &server) && is_port(port) && is_port(line);
}

static enum proxy_verdict
read_v1(struct span bytes, struct proxy_header *out)
{
	struct proxy_header h = {.n = 0};
	struct span seen = span_of(bytes.p, bytes.n < V1_BYTES_MAX ? bytes.n : V1_BYTES_MAX);
	size_t end = span_find(seen, '\n');

	if (end == seen.n) {
		/* A line ends with CR and LF, and has no CR elsewhere. */
		size_t cr = span_find(seen, '\r');
		return cr + 1 < seen.n || seen.n == V1_BYTES_MAX ? PROXY_REFUSED : PROXY_MORE;
	}
	h.n = end + 1;
	if (end == 0 || span_find(seen, '\r') != end - 1 ||
		!read_v1_line(span_of(seen.p, end - 1), &h))
		return PROXY_REFUSED;
	*out = h;
	return PROXY_DONE;
}

static size_t
read_u16(const char *p)
{
	return (size_t)((unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* What is behind the addresses: each with its type and its length, and nothing left over. */
static bool
are_tlvs(struct span rest)
{
	while (rest.n > 0) {
		if (rest.n < TLV_BYTES || rest.n - TLV_BYTES < read_u16(rest.p + 1))
			return false;
		rest = span_from(rest, TLV_BYTES + read_u16(rest.p + 1));
	}
	return true;
}

/* Bytes of both addresses and ports; SIZE_MAX: of no family that we know. */
static size_t
count_v2_addresses(unsigned family)
{
	switch (family) {
	case 0x00:
		return 0;
	case 0x11: /* TCP over IPv4 */
		return IPV4_BYTES;
	case 0x21: /* TCP over IPv6 */
		return IPV6_BYTES;
	case 0x31: /* a unix stream */
		return UNIX_BYTES;
	default:
		return SIZE_MAX;
	}
}

static bool
read_v2_client(unsigned family, struct span rest, struct proxy_header *out)
{
	size_t n = count_v2_addresses(family);

	if (n > rest.n)
		return false;
	/* Of no family: whatever follows is to be ignored. */
	if (n == 0)
		return true;
	out->has_client = n != UNIX_BYTES;
	if (n == IPV4_BYTES)
		memcpy(out->client.bytes, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
	if (out->has_client)
		memcpy(out->client.bytes + (n == IPV4_BYTES ? 12 : 0), rest.p,
			n == IPV4_BYTES ? 4 : 16);
	return are_tlvs(span_from(rest, n));
}

static enum proxy_verdict
read_v2(struct span bytes, struct proxy_header *out)
{
	struct proxy_header h = {.n = 0};

	/* Version and command, 0x20: the proxy itself, 0x21: for a client. */
	if (bytes.n > 12 && bytes.p[12] != 0x20 && bytes.p[12] != 0x21)
		return PROXY_REFUSED;
	if (bytes.n < V2_BYTES)
		return PROXY_MORE;
	h.n = V2_BYTES + read_u16(bytes.p + 14);
	if (h.n > PROXY_HEADER_BYTES_MAX)
		return PROXY_REFUSED;
	if (bytes.n < h.n)
		return PROXY_MORE;
	/* Of the proxy's own connection everything but the length is to be ignored. */
	if (bytes.p[12] == 0x21 && !read_v2_client((unsigned char)bytes.p[13],
					   span_of(bytes.p + V2_BYTES, h.n - V2_BYTES), &h))
		return PROXY_REFUSED;
	*out = h;
	return PROXY_DONE;
}

/* Whether bytes are what a header with this beginning begins with. */
static bool
may_begin(struct span bytes, struct span beginning)
{
	size_t n = bytes.n < beginning.n ? bytes.n : beginning.n;

	return n == 0 || memcmp(bytes.p, beginning.p, n) == 0;
}

enum proxy_verdict
proxy_header_read(struct span bytes, struct proxy_header *out)
{
	*out = (struct proxy_header){.n = 0};
	if (bytes.n == 0)
		return PROXY_MORE;
	if (may_begin(bytes, SPAN_LIT("PROXY ")))
		return read_v1(bytes, out);
	if (may_begin(bytes, span_of(v2_signature, sizeof(v2_signature))))
		return read_v2(bytes, out);
	return PROXY_REFUSED;
}
