/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of keys: read from a PEM text or a JWK set, asked for the key of a token. A set in which a token could not tell two
 * keys apart, or that holds what its owner should have kept, is refused as a whole. Any thread.
 */
#include "base/jose.h"

#include <stdatomic.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/sign.h"
#include "jose_key.h"

#define KEYS_MAGIC 0x6a6b6579u
/* A tree takes up to about 50 bytes per byte of its text (base/json.h). */
#define PARSE_ARENA_BYTES (64 * JOSE_DOCUMENT_BYTES_MAX)

struct jose_keys {
	unsigned magic;
	atomic_size_t n_refs;
	struct arena *arena; /* the ids */
	size_t n;
	struct jose_key keys[JOSE_KEYS_MAX];
};

static enum err
new_keys(struct jose_keys **out, struct errinfo *ei)
{
	struct jose_keys *keys = mem_zalloc(1, sizeof(*keys));

	*out = NULL;
	if (keys == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for keys");
	keys->magic = KEYS_MAGIC;
	atomic_init(&keys->n_refs, 1);
	keys->arena = arena_new((size_t)2 * JOSE_KEYS_MAX * JOSE_KID_BYTES_MAX);
	*out = keys;
	if (keys->arena == NULL) {
		jose_keys_unref(out);
		return ERR(ei, ERR_NOMEM, "out of memory for keys");
	}
	return OK;
}

struct jose_keys *
jose_keys_ref(struct jose_keys *keys)
{
	OBJ_CHECK(keys, KEYS_MAGIC);
	atomic_fetch_add_explicit(&keys->n_refs, 1, memory_order_relaxed);
	return keys;
}

void
jose_keys_unref(struct jose_keys **keys)
{
	struct jose_keys *old = *keys;

	if (old == NULL)
		return;
	OBJ_CHECK(old, KEYS_MAGIC);
	*keys = NULL;
	if (atomic_fetch_sub_explicit(&old->n_refs, 1, memory_order_acq_rel) > 1)
		return;
	for (size_t i = 0; i < old->n; i++)
		jose_key_clear(&old->keys[i]);
	arena_free(&old->arena);
	old->magic = 0;
	mem_free(old);
}

size_t
jose_keys_count(const struct jose_keys *keys)
{
	OBJ_CHECK(keys, KEYS_MAGIC);
	return keys->n;
}

bool
jose_keys_has(const struct jose_keys *keys, const struct jose_thumb *thumb)
{
	OBJ_CHECK(keys, KEYS_MAGIC);
	for (size_t i = 0; i < keys->n; i++)
		if (memcmp(keys->keys[i].thumb.hash, thumb->hash, SHA256_BYTES) == 0)
			return true;
	return false;
}

static bool
is_same_kid(struct span a, struct span b)
{
	return (a.p == NULL) == (b.p == NULL) && span_eq(a, b);
}

bool
jose_keys_equal(const struct jose_keys *a, const struct jose_keys *b)
{
	bool is_equal = jose_keys_count(a) == jose_keys_count(b);

	for (size_t i = 0; i < a->n && is_equal; i++)
		is_equal = is_same_kid(a->keys[i].kid, b->keys[i].kid) &&
			   memcmp(a->keys[i].thumb.hash, b->keys[i].thumb.hash, SHA256_BYTES) == 0;
	return is_equal;
}

/* ---- reading a JWK set ---- */

static struct span
text_of(const struct json *jwk, const char *name)
{
	const struct json *member = json_find_cstr(jwk, name);

	return member != NULL && member->type == JSON_STRING ? member->text : SPAN_NONE;
}

/* Whether a member is absent, or this text. */
static bool
is_absent_or(const struct json *jwk, const char *name, const char *text)
{
	return json_find_cstr(jwk, name) == NULL || span_eq_cstr(text_of(jwk, name), text);
}

static bool
may_verify(const struct json *jwk)
{
	const struct json *ops = json_find_cstr(jwk, "key_ops");

	if (!is_absent_or(jwk, "use", "sig"))
		return false;
	if (ops == NULL)
		return true;
	for (const struct json *op = ops->first; op != NULL; op = op->next)
		if (op->type == JSON_STRING && span_eq_cstr(op->text, "verify"))
			return true;
	return false;
}

/* What such a key may verify; NONE: nothing that is known here. */
static enum jose_algorithm
algorithm_of(const struct json *jwk)
{
	struct span type = text_of(jwk, "kty");
	struct span curve = text_of(jwk, "crv");

	if (!may_verify(jwk))
		return JOSE_NONE;
	if (span_eq_cstr(type, "RSA") && is_absent_or(jwk, "alg", "RS256"))
		return JOSE_RS256;
	if (span_eq_cstr(type, "EC") && span_eq_cstr(curve, "P-256") &&
		is_absent_or(jwk, "alg", "ES256"))
		return JOSE_ES256;
	if (span_eq_cstr(type, "OKP") && span_eq_cstr(curve, "Ed25519") &&
		is_absent_or(jwk, "alg", "EdDSA"))
		return JOSE_EDDSA;
	return JOSE_NONE;
}

static enum err
read_number(const struct json *jwk, const char *name, struct arena *a, struct span *out,
	struct errinfo *ei)
{
	struct buf bytes;
	enum err rc;

	buf_init_arena(&bytes, a, JOSE_DOCUMENT_BYTES_MAX);
	rc = sign_base64url_decode(text_of(jwk, name), &bytes, ei);
	*out = buf_span(&bytes);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "%s", name);
}

static enum err
read_numbers(const struct json *jwk, enum jose_algorithm algorithm, struct arena *a,
	struct jose_key *out, struct errinfo *ei)
{
	bool is_rsa = algorithm == JOSE_RS256;
	struct span one;
	struct span two = SPAN_NONE;
	enum err rc = read_number(jwk, is_rsa ? "n" : "x", a, &one, ei);

	if (rc == OK && algorithm != JOSE_EDDSA)
		rc = read_number(jwk, is_rsa ? "e" : "y", a, &two, ei);
	if (rc != OK)
		return rc;
	if (is_rsa)
		return jose_key_from_rsa(one, two, out, ei);
	if (algorithm == JOSE_ES256)
		return jose_key_from_p256(one, two, out, ei);
	return jose_key_from_ed25519(one, out, ei);
}

/* Of two keys for one algorithm with one id, a token would mean either. */
static bool
is_told_apart(const struct jose_keys *keys, const struct jose_key *key)
{
	for (size_t i = 0; i < keys->n; i++)
		if (keys->keys[i].algorithm == key->algorithm &&
			is_same_kid(keys->keys[i].kid, key->kid))
			return false;
	return true;
}

static enum err
add_jwk(struct jose_keys *keys, const struct json *jwk, struct arena *a, struct errinfo *ei)
{
	struct span kid = text_of(jwk, "kid");
	struct jose_key key;
	enum err rc;

	if (jwk->type != JSON_OBJECT)
		return ERR(ei, ERR_PARSE, "a key is not an object");
	if (json_find_cstr(jwk, "d") != NULL || json_find_cstr(jwk, "k") != NULL)
		return ERR(ei, ERR_PARSE, "a key is private or secret; it is known to others now");
	enum jose_algorithm algorithm = algorithm_of(jwk);
	if (algorithm == JOSE_NONE)
		return OK;
	if (kid.n > JOSE_KID_BYTES_MAX || (json_find_cstr(jwk, "kid") != NULL && kid.n == 0))
		return ERR(ei, ERR_PARSE, "the kid of a key is a text of 1 to %d bytes",
			JOSE_KID_BYTES_MAX);
	rc = read_numbers(jwk, algorithm, a, &key, ei);
	if (rc != OK)
		return rc;
	key.kid = kid.n > 0 ? arena_dup(keys->arena, kid) : SPAN_NONE;
	if (!is_told_apart(keys, &key))
		rc = ERR(ei, ERR_PARSE, "two keys have the same kid, or none");
	if (rc != OK) {
		jose_key_clear(&key);
		return rc;
	}
	keys->keys[keys->n++] = key;
	return OK;
}

static enum err
read_set(struct jose_keys *keys, struct span text, struct arena *a, struct errinfo *ei)
{
	const struct json *root = NULL;
	enum err rc = json_parse(text, a, &root, NULL, ei);
	const struct json *list = rc == OK ? json_find_cstr(root, "keys") : NULL;

	if (rc != OK)
		return rc;
	if (list == NULL || list->type != JSON_ARRAY)
		return ERR(ei, ERR_PARSE, "a set of keys has the array \"keys\"");
	if (list->n > JOSE_KEYS_MAX)
		return ERR(ei, ERR_TOO_LARGE, "a set of keys has over %d", JOSE_KEYS_MAX);
	for (const struct json *jwk = list->first; jwk != NULL && rc == OK; jwk = jwk->next)
		rc = add_jwk(keys, jwk, a, ei);
	if (rc == OK && keys->n == 0)
		rc = ERR(ei, ERR_PARSE, "no key of the set is for RS256, ES256 or EdDSA");
	if (rc == OK && arena_failed(keys->arena))
		rc = ERR(ei, ERR_NOMEM, "out of memory for keys");
	return rc;
}

static enum err
read_text(struct jose_keys *keys, struct span text, struct errinfo *ei)
{
	struct arena *a;
	enum err rc;

	if (span_trim(text).n == 0 || span_trim(text).p[0] != '{') {
		rc = jose_key_from_pem(text, &keys->keys[0], ei);
		keys->n = rc == OK ? 1 : 0;
		return rc;
	}
	a = arena_new(PARSE_ARENA_BYTES);
	rc = a != NULL ? read_set(keys, text, a, ei) : ERR(ei, ERR_NOMEM, "out of memory");
	arena_free(&a);
	return rc;
}

enum err
jose_keys_parse(struct span text, struct jose_keys **out, struct errinfo *ei)
{
	enum err rc;

	*out = NULL;
	if (text.n > JOSE_DOCUMENT_BYTES_MAX)
		return ERR(ei, ERR_TOO_LARGE, "keys are over %zu bytes", JOSE_DOCUMENT_BYTES_MAX);
	rc = new_keys(out, ei);
	if (rc == OK)
		rc = read_text(*out, text, ei);
	if (rc != OK)
		jose_keys_unref(out);
	return rc;
}

/* ---- verifying ---- */

/* *other: there is one with that id, for another algorithm. */
static const struct jose_key *
find_key(const struct jose_keys *keys, const struct jose_token *token, bool *other)
{
	const struct jose_key *found = NULL;

	*other = false;
	if (token->kid.p == NULL && keys->n != 1)
		return NULL;
	for (size_t i = 0; i < keys->n && found == NULL; i++) {
		const struct jose_key *key = &keys->keys[i];
		bool is_meant =
			token->kid.p == NULL || key->kid.p == NULL || span_eq(token->kid, key->kid);

		if (is_meant && key->algorithm == token->algorithm)
			found = key;
		*other = *other || is_meant;
	}
	return found;
}

enum err
jose_keys_verify(const struct jose_keys *keys, const struct jose_token *token,
	struct jose_thumb *by, struct errinfo *ei)
{
	const struct jose_key *key;
	bool other;

	OBJ_CHECK(keys, KEYS_MAGIC);
	*by = (struct jose_thumb){{0}};
	key = find_key(keys, token, &other);
	if (key == NULL && other)
		return ERR(ei, ERR_FORBIDDEN, "the key is for another algorithm");
	if (key == NULL)
		return ERR(ei, ERR_NOT_FOUND, "no key has that kid");
	if (!jose_key_verifies(key, token))
		return ERR(ei, ERR_FORBIDDEN, "the signature does not verify");
	*by = key->thumb;
	return OK;
}
