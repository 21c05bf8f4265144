/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks signatures. Which secret of a signer was the right one, and whether there is such a signer, changes nothing of the work,
 * so that neither can be told by time. Must never take a signature for good that no configured secret or key made. Any loop.
 */
#include "identity/signature.h"

#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/sign.h"
#include "identity/identity_rows.h"

#define ED25519_HEX ((size_t)2 * SIGN_ED25519_BYTES)

static bool
is_lower_hex(struct span s, size_t n)
{
	for (size_t i = 0; i < s.n; i++) {
		bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';
		if (!is_digit && (s.p[i] < 'a' || s.p[i] > 'f'))
			return false;
	}
	return s.n == n;
}

struct signature
signature_read(struct span value, unsigned versions)
{
	static const struct {
		enum signature_kind kind;
		unsigned version;
		struct span prefix;
		size_t n_hex;
	} forms[] = {
		{SIGNATURE_V2, SIGNATURE_ALLOW_V2, {"v2=", 3}, SHA256_HEX},
		{SIGNATURE_V2_ED25519, SIGNATURE_ALLOW_V2, {"v2ed=", 5}, ED25519_HEX},
		{SIGNATURE_V1, SIGNATURE_ALLOW_V1, {"", 0}, SHA256_HEX},
	};
	struct span text = span_trim(value);

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if ((versions & forms[i].version) == 0 || !span_starts(text, forms[i].prefix))
			continue;
		struct span hex = span_from(text, forms[i].prefix.n);
		if (is_lower_hex(hex, forms[i].n_hex))
			return (struct signature){forms[i].kind, hex};
	}
	return (struct signature){SIGNATURE_NONE, SPAN_NONE};
}

bool
signature_read_moment(const struct req_credentials *credentials, int64_t *seconds)
{
	return signed_form_read_time(credentials->timestamp, seconds) &&
	       signed_form_is_nonce(credentials->nonce);
}

static const struct signed_form *
need_form(struct signed_request *r)
{
	const struct req_credentials *c = r->credentials;

	if (r->has_form)
		return &r->form;
	r->form = (struct signed_form){
		.method = c->method,
		.target = c->target,
		.timestamp = c->timestamp,
		.nonce = c->nonce,
		.idempotency_key = c->idempotency_key,
	};
	signed_form_set_body(&r->form, r->body);
	r->has_form = true;
	return &r->form;
}

static void
make_mac(struct signed_request *r, enum signature_kind kind, struct span key,
	uint8_t mac[SHA256_BYTES])
{
	if (kind == SIGNATURE_V1)
		hash_hmac_sha256(key, r->body, mac);
	else
		signed_form_mac(need_form(r), key, mac);
}

static bool
is_mac_of(const struct signer_table *t, const struct signer *signer, struct signature signature,
	struct signed_request *r)
{
	static const char nobody[SHA256_BYTES] = {0};
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX + 1];
	bool is_any = false;

	for (size_t i = 0; i < t->n_secrets_max; i++) {
		bool is_there = signer != NULL && i < signer->n_secrets;
		struct span key = is_there ? secret_get_bytes(signer->secrets[i])
					   : span_of(nobody, sizeof(nobody));

		make_mac(r, signature.kind, key, mac);
		hash_hex(mac, sizeof(mac), hex);
		bool is_equal = secret_eq(span_of(hex, SHA256_HEX), signature.hex);
		is_any = is_any | (is_there & is_equal);
	}
	mem_wipe(mac, sizeof(mac));
	mem_wipe(hex, sizeof(hex));
	return is_any;
}

static bool
is_key_of(const struct signer_table *t, const struct signer *signer, struct signature signature,
	struct signed_request *r)
{
	char room[SIGNED_FORM_BYTES_MAX];
	uint8_t raw[SIGN_ED25519_BYTES];
	struct span form = signed_form_write(need_form(r), room);
	bool is_any = false;

	if (form.p == NULL || !hash_unhex(signature.hex, raw, sizeof(raw)))
		return false;
	for (size_t i = 0; i < t->n_keys_max; i++) {
		bool is_there = signer != NULL && i < signer->n_keys;
		bool is_good = sign_ed25519_verify(is_there ? signer->keys[i] : t->decoy, form,
			span_of((const char *)raw, sizeof(raw)));

		is_any = is_any | (is_there & is_good);
	}
	return is_any;
}

bool
signature_is_valid(const struct signer_table *t, struct span id, struct signature signature,
	struct signed_request *request, const struct signer **found)
{
	const struct signer *signer = map_find(t->by_id, span_trim(id));
	bool is_valid = false;

	switch (signature.kind) {
	case SIGNATURE_NONE:
		return false;
	case SIGNATURE_V1:
	case SIGNATURE_V2:
		is_valid = is_mac_of(t, signer, signature, request);
		break;
	case SIGNATURE_V2_ED25519:
		is_valid = is_key_of(t, signer, signature, request);
		break;
	}
	if (!is_valid)
		return false;
	*found = signer;
	return true;
}
