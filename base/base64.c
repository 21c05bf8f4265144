/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Base64 as sign.h promises it, standard and for URLs: one text for each byte string, so white space, wrong
 * padding and bits that belong to no byte are refused. Pure; any thread.
 */
#include "base/sign.h"

#include "base/buf.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The two digits that differ. */
struct variant {
	char digit_62;
	char digit_63;
};
static const struct variant standard = {'+', '/'};
static const struct variant for_urls = {'-', '_'};

/* -1 when c is not of the alphabet. */
static int
sextet_of(char c, const struct variant *v)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == v->digit_62)
		return 62;
	return c == v->digit_63 ? 63 : -1;
}

static size_t
padding_of(struct span text)
{
	size_t n = 0;

	while (n < 2 && n < text.n && text.p[text.n - 1 - n] == '=')
		n++;
	return n;
}

/* One group of four, n_digits of them digits and the rest padding, as n_digits - 1 bytes. */
static bool
decode_group(const char *p, size_t n_digits, const struct variant *variant, char out[3])
{
	uint32_t bits = 0;

	for (size_t i = 0; i < n_digits; i++) {
		int v = sextet_of(p[i], variant);
		if (v < 0)
			return false;
		bits |= (uint32_t)v << (18 - 6 * i);
	}
	uint32_t surplus = bits & (UINT32_C(0xffffff) >> (8 * (n_digits - 1)));
	if (surplus != 0)
		return false;
	out[0] = (char)(unsigned char)(bits >> 16);
	out[1] = (char)(unsigned char)(bits >> 8);
	out[2] = (char)(unsigned char)bits;
	return true;
}

/* n_digits of text count, in groups of four; the last may be shorter. */
static enum err
decode(struct span text, size_t n_digits, const struct variant *variant, struct buf *out,
	struct errinfo *ei)
{
	size_t start = out->n;

	for (size_t at = 0; at < n_digits; at += 4) {
		size_t n = n_digits - at < 4 ? n_digits - at : 4;
		char bytes[3];
		if (!decode_group(text.p + at, n, variant, bytes)) {
			buf_truncate(out, start);
			return ERR(ei, ERR_PARSE, "malformed base64 at character %zu", at);
		}
		buf_add(out, bytes, n - 1);
	}
	if (buf_failed(out)) {
		buf_truncate(out, start);
		return ERR(ei, ERR_TOO_LARGE, "decoded base64 is over %zu bytes", out->cap);
	}
	return OK;
}

enum err
sign_base64_decode(struct span text, struct buf *out, struct errinfo *ei)
{
	if (text.n % 4 != 0)
		return ERR(ei, ERR_PARSE, "base64 is not a multiple of four characters");
	return decode(text, text.n - padding_of(text), &standard, out, ei);
}

enum err
sign_base64url_decode(struct span text, struct buf *out, struct errinfo *ei)
{
	if (text.n % 4 == 1)
		return ERR(ei, ERR_PARSE, "no base64 text has that length");
	return decode(text, text.n, &for_urls, out, ei);
}

void
sign_base64_encode(struct span bytes, struct buf *out)
{
	for (size_t at = 0; at < bytes.n; at += 3) {
		size_t n = bytes.n - at < 3 ? bytes.n - at : 3;
		uint32_t bits = 0;
		for (size_t i = 0; i < n; i++)
			bits |= (uint32_t)(unsigned char)bytes.p[at + i] << (16 - 8 * i);
		char text[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63], '=', '='};
		if (n > 1)
			text[2] = alphabet[bits >> 6 & 63];
		if (n > 2)
			text[3] = alphabet[bits & 63];
		buf_add(out, text, sizeof(text));
	}
}
