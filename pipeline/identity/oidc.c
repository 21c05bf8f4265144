/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges tokens: first whether a key of the issuer signed it, then what it claims. All refusals are one to the caller. Only a token
 * that says it is of this issuer can make its keys be fetched, and then not more often than the ring allows.
 */
#include "identity/oidc.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/jose.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "identity/token_cache.h"
#include "identity/token_holder.h"
#include "identity/token_rules.h"
#include "pipeline/key_ring.h"

#define OIDC_MAGIC 0x6f696463u
#define OIDC_ARENA_BYTES ((size_t)64 * 1024)
/* A tree takes up to about 50 bytes per byte of its text (base/json.h), and all parts are decoded. */
#define TOKEN_ARENA_BYTES (64 * JOSE_TOKEN_BYTES_MAX)
/* Just long enough for all that one request asks. */
#define REFUSED_NS NS_PER_SEC

struct oidc {
	unsigned magic;
	struct arena *arena; /* the rules' texts */
	struct token_rules rules;
	uint8_t rules_hash[SHA256_BYTES];
	struct jose_keys *file_keys; /* NULL: the source's */
	struct key_source *source;   /* NULL: none */
	struct token_cache *cache;
};

struct key_source_options
key_source_options_of(const struct oidc_section *o)
{
	return (struct key_source_options){
		.issuer = o->issuer,
		.jwks_uri = o->jwks_uri,
		.ca_file = o->ca_file,
		.refresh_ns = o->refresh_seconds * NS_PER_SEC,
		.floor_ns = o->refresh_floor_seconds * NS_PER_SEC,
		.max_stale_ns = o->max_stale_seconds * NS_PER_SEC,
	};
}

/* What decides who somebody is: a session lives on only under the same. */
static void
hash_rules(struct oidc *o)
{
	const struct span parts[] = {o->rules.issuer, o->rules.audience, o->rules.principal_claim,
		o->rules.principal_prefix, o->rules.groups_claim};
	uint8_t hashes[ARRAY_LEN(parts) * SHA256_BYTES];

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		hash_sha256(parts[i], hashes + i * SHA256_BYTES);
	hash_sha256(span_of((const char *)hashes, sizeof(hashes)), o->rules_hash);
}

static enum err
read_key_file(struct oidc *o, struct span path, struct errinfo *ei)
{
	struct buf text;
	enum err rc;

	buf_init(&text, JOSE_DOCUMENT_BYTES_MAX + 1);
	rc = fdio_read_file(path.p, JOSE_DOCUMENT_BYTES_MAX, &text, ei);
	if (rc == OK)
		rc = jose_keys_parse(buf_span(&text), &o->file_keys, ei);
	buf_fini(&text);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "identity.oidc.public_key_path");
}

static enum err
find_keys(struct oidc *o, const struct oidc_section *section, struct key_ring *ring,
	struct errinfo *ei)
{
	struct key_source_options options = key_source_options_of(section);

	if (section->public_key_path.n > 0)
		return read_key_file(o, section->public_key_path, ei);
	if (ring == NULL)
		return OK;
	return key_ring_open(ring, &options, &o->source, ei);
}

static enum err
fill(struct oidc *o, const struct oidc_section *section, struct key_ring *ring, struct errinfo *ei)
{
	o->arena = arena_new(OIDC_ARENA_BYTES);
	o->cache = token_cache_new();
	if (o->arena == NULL || o->cache == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	o->rules = (struct token_rules){
		.issuer = arena_dup(o->arena, section->issuer),
		.audience = arena_dup(o->arena, section->audience),
		.principal_claim = arena_dup(o->arena, section->principal_claim),
		.principal_prefix = arena_dup(o->arena, section->principal_prefix),
		.groups_claim = arena_dup(o->arena, section->groups_claim),
		.leeway_s = section->leeway_seconds,
		.max_lifetime_s = section->max_lifetime_seconds,
	};
	if (arena_failed(o->arena))
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	hash_rules(o);
	return find_keys(o, section, ring, ei);
}

enum err
oidc_new(const struct oidc_section *section, struct key_ring *ring, struct oidc **out,
	struct errinfo *ei)
{
	struct oidc *o = mem_zalloc(1, sizeof(*o));
	enum err rc;

	*out = o;
	if (o == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for identities");
	o->magic = OIDC_MAGIC;
	rc = fill(o, section, ring, ei);
	if (rc != OK)
		oidc_free(out);
	return rc;
}

void
oidc_free(struct oidc **op)
{
	struct oidc *o = *op;

	if (o == NULL)
		return;
	OBJ_CHECK(o, OIDC_MAGIC);
	*op = NULL;
	token_cache_free(&o->cache);
	key_source_release(&o->source);
	jose_keys_unref(&o->file_keys);
	arena_free(&o->arena);
	o->magic = 0;
	mem_free(o);
}

/* Of keys in a file it is always the same. */
static uint64_t
get_generation(const struct oidc *o)
{
	return o->source != NULL ? key_source_get_generation(o->source) : 1;
}

/* NULL: there are none to verify with. */
static struct jose_keys *
get_keys(const struct oidc *o)
{
	if (o->file_keys != NULL)
		return jose_keys_ref(o->file_keys);
	return o->source != NULL ? key_source_get(o->source) : NULL;
}

/* Neither its text nor a claim of it: what nobody vouches for has no place in a log. */
static void
log_refused(const struct errinfo *why)
{
	static _Thread_local struct log_limiter limiter;
	uint64_t dropped = 0;

	metric_add(METRIC_TOKENS_REFUSED, 1);
	if (log_limit(&limiter, &dropped))
		log_warn(NULL, "a token was refused: %s (%llu more not logged)", why->msg,
			(unsigned long long)dropped);
}

static enum err
verify(const struct oidc *o, const struct jose_token *token, struct jose_thumb *by,
	struct errinfo *ei)
{
	struct jose_keys *keys = get_keys(o);
	enum err rc = keys != NULL ? jose_keys_verify(keys, token, by, ei)
				   : ERR(ei, ERR_NOT_FOUND, "there are no keys to verify it with");

	jose_keys_unref(&keys);
	if (rc == ERR_NOT_FOUND && o->source != NULL && token_is_of_issuer(&o->rules, token))
		key_source_ask(o->source);
	return rc;
}

static enum err
judge_in(const struct oidc *o, struct span text, struct arena *a, struct token_holder **out,
	struct errinfo *ei)
{
	struct token_facts *facts = ARENA_NEW(a, struct token_facts);
	struct jose_thumb by;
	struct jose_token token;
	enum err rc;

	if (facts == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	rc = jose_token_parse(text, a, &token, ei);
	if (rc == OK)
		rc = verify(o, &token, &by, ei);
	if (rc == OK)
		rc = token_judge(&o->rules, &token, clock_wall_ns() / NS_PER_SEC, facts, ei);
	if (rc != OK)
		return rc;
	*out = token_holder_new(facts, o->rules.principal_prefix);
	if (*out == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	(*out)->key = by;
	memcpy((*out)->rules_hash, o->rules_hash, SHA256_BYTES);
	return OK;
}

static enum err
judge(const struct oidc *o, struct span text, struct token_holder **out, struct errinfo *ei)
{
	struct arena *a = arena_new(TOKEN_ARENA_BYTES);
	enum err rc =
		a != NULL ? judge_in(o, text, a, out, ei) : ERR(ei, ERR_NOMEM, "out of memory");

	arena_free(&a);
	return rc;
}

enum err
oidc_find(const struct oidc *o, struct span text, struct token_holder **out)
{
	uint8_t hash[SHA256_BYTES];
	uint64_t generation;
	struct errinfo ei;

	OBJ_CHECK(o, OIDC_MAGIC);
	*out = NULL;
	if (text.n > JOSE_TOKEN_BYTES_MAX || !jose_looks_like_token(text))
		return ERR_AUTH;
	hash_sha256(text, hash);
	/* Before the keys are looked at: with newer ones it would be judged again. */
	generation = get_generation(o);
	/* Without usable keys nothing is remembered: neither that a token was good. */
	enum token_memory memory =
		generation != 0 ? token_cache_find(o->cache, hash, generation, out) : TOKEN_UNKNOWN;
	if (memory != TOKEN_UNKNOWN)
		return memory == TOKEN_ACCEPTED ? OK : ERR_AUTH;
	if (judge(o, text, out, &ei) != OK) {
		log_refused(&ei);
		token_cache_put(o->cache, hash, generation, NULL, clock_mono_ns() + REFUSED_NS);
		return ERR_AUTH;
	}
	metric_add(METRIC_TOKENS_VERIFIED, 1);
	if (generation == 0)
		return OK;
	token_cache_put(o->cache, hash, generation, *out,
		(*out)->expires_wall_ns + o->rules.leeway_s * NS_PER_SEC);
	return OK;
}

bool
oidc_still_accepts(const struct oidc *o, const struct token_holder *h)
{
	struct jose_keys *keys;
	bool has_key;

	OBJ_CHECK(o, OIDC_MAGIC);
	if (memcmp(o->rules_hash, h->rules_hash, SHA256_BYTES) != 0)
		return false;
	keys = get_keys(o);
	has_key = keys != NULL && jose_keys_has(keys, &h->key);
	jose_keys_unref(&keys);
	return has_key;
}

bool
oidc_get_key_state(const struct oidc *o, struct key_source_state *out)
{
	OBJ_CHECK(o, OIDC_MAGIC);
	if (o->source == NULL)
		return false;
	key_source_get_state(o->source, out);
	return true;
}
