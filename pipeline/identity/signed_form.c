/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The signed form. No member can hold an LF: header values and targets cannot (net/gate.h), so no two requests share one.
 * Any thread.
 */
#include "pipeline/signed_form.h"

#include <string.h>

#define PARTS 13
#define TIME_DIGITS_MAX 12

void
signed_form_set_body(struct signed_form *f, struct span body)
{
	hash_sha256_hex(body, f->body_hash);
}

static void
list_parts(const struct signed_form *f, struct span out[PARTS])
{
	const struct span lines[] = {SPAN_LIT("v2"), f->method, f->target, f->timestamp, f->nonce,
		span_of(f->body_hash, SHA256_HEX), f->idempotency_key};

	_Static_assert(2 * ARRAY_LEN(lines) - 1 == PARTS, "a line and what joins it to the next");
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		out[2 * i] = lines[i];
		if (2 * i + 1 < PARTS)
			out[2 * i + 1] = SPAN_LIT("\n");
	}
}

void
signed_form_mac(const struct signed_form *f, struct span key, uint8_t mac[SHA256_BYTES])
{
	struct span parts[PARTS];

	list_parts(f, parts);
	hash_hmac_sha256_parts(key, parts, PARTS, mac);
}

struct span
signed_form_write(const struct signed_form *f, char room[SIGNED_FORM_BYTES_MAX])
{
	struct span parts[PARTS];
	size_t n = 0;

	list_parts(f, parts);
	for (size_t i = 0; i < PARTS; i++) {
		if (parts[i].n > SIGNED_FORM_BYTES_MAX - n)
			return SPAN_NONE;
		if (parts[i].n > 0)
			memcpy(room + n, parts[i].p, parts[i].n);
		n += parts[i].n;
	}
	return span_of(room, n);
}

bool
signed_form_read_time(struct span text, int64_t *seconds)
{
	uint64_t value = 0;

	*seconds = 0;
	if (text.n == 0 || text.n > TIME_DIGITS_MAX || (text.n > 1 && text.p[0] == '0'))
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text.p[i] - '0');
	}
	*seconds = (int64_t)value;
	return true;
}

bool
signed_form_is_nonce(struct span text)
{
	if (text.n < SIGNED_FORM_NONCE_MIN || text.n > SIGNED_FORM_NONCE_MAX)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];
		bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
				(c >= 'A' && c <= 'Z') || c == '_' || c == '-';

		if (!is_plain)
			return false;
	}
	return true;
}
