/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the text that is signed, the record and the head file that carry the signature. It
 * must never treat an unsigned or half-read checkpoint as one: parsers fill nothing on failure.
 * Pure but for reading and writing the head file; any thread.
 */
#include "audit/checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/parse.h"
#include "checkpoint_file.h"

#define HEAD_FILE_MAX 4096
#define TEXT_MAX 256

/* The text that is signed, without the heap: a signature must not look bad because memory is
 * short. */
static struct span
format_text(const char *domain, const struct checkpoint *cp, char out[TEXT_MAX])
{
	int n = snprintf(out, TEXT_MAX, "%s\n%.*s\n%" PRIu64 "\n%.*s", domain, CHAIN_ID_HEX,
		cp->chain_id, cp->at.seq, SHA256_HEX, cp->at.hash);

	return span_of(out, (size_t)n);
}

void
checkpoint_build_text(const struct checkpoint *cp, struct buf *out)
{
	char text[TEXT_MAX];

	buf_add_span(out, format_text(CHECKPOINT_DOMAIN, cp, text));
}

enum err
checkpoint_sign_as(
	const char *domain, const struct sign_key *key, struct checkpoint *cp, struct errinfo *ei)
{
	char text[TEXT_MAX];

	memset(cp->signature, 0, sizeof(cp->signature));
	memcpy(cp->key_id, sign_key_id(key), SIGN_KEY_ID_HEX + 1);
	return sign_ed25519(key, format_text(domain, cp, text), cp->signature, ei);
}

enum err
checkpoint_sign(const struct sign_key *key, struct checkpoint *cp, struct errinfo *ei)
{
	return checkpoint_sign_as(CHECKPOINT_DOMAIN, key, cp, ei);
}

bool
checkpoint_is_signed_as(
	const char *domain, const struct checkpoint *cp, const struct sign_key *public_key)
{
	struct span signature = span_of((const char *)cp->signature, sizeof(cp->signature));
	char text[TEXT_MAX];

	return strcmp(cp->key_id, sign_key_id(public_key)) == 0 &&
	       sign_ed25519_verify(public_key, format_text(domain, cp, text), signature);
}

bool
checkpoint_is_signed_by(const struct checkpoint *cp, const struct sign_key *public_key)
{
	return checkpoint_is_signed_as(CHECKPOINT_DOMAIN, cp, public_key);
}

/* Copies exactly n lower-case hex digits and a NUL. */
static bool
copy_hex(struct span s, size_t n, char *out)
{
	if (s.n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool is_hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
		if (!is_hex)
			return false;
	}
	memcpy(out, s.p, n);
	out[n] = '\0';
	return true;
}

static enum err
copy_signature(struct span base64, uint8_t out[SIGN_ED25519_BYTES], struct errinfo *ei)
{
	struct buf raw;
	enum err rc = OK;

	buf_init(&raw, TEXT_MAX);
	if (buf_reserve(&raw, TEXT_MAX / 2) == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	else if (sign_base64_decode(base64, &raw, NULL) != OK || raw.n != SIGN_ED25519_BYTES)
		rc = ERR(ei, ERR_PARSE, "not a signature");
	else
		memcpy(out, raw.p, SIGN_ED25519_BYTES);
	buf_fini(&raw);
	return rc;
}

/* The parts of a checkpoint as text, without quotes. */
struct parts {
	struct span chain_id, hash, key_id, seq, signature;
};

static enum err
fill(const struct parts *parts, struct checkpoint *out, struct errinfo *ei)
{
	struct checkpoint cp = {0};
	bool is_good = copy_hex(parts->chain_id, CHAIN_ID_HEX, cp.chain_id) &&
		       copy_hex(parts->hash, SHA256_HEX, cp.at.hash) &&
		       copy_hex(parts->key_id, SIGN_KEY_ID_HEX, cp.key_id) &&
		       parse_uint(parts->seq, INT64_MAX, &cp.at.seq) && cp.at.seq > 0;

	*out = (struct checkpoint){0};
	if (!is_good)
		return ERR(ei, ERR_PARSE, "not a checkpoint");
	enum err rc = copy_signature(parts->signature, cp.signature, ei);
	if (rc == OK)
		*out = cp;
	return rc;
}

static struct span
text_member(struct span body, enum record_member m)
{
	struct span v = chain_find_member(body, span_cstr(record_member_name(m)));

	return v.n >= 2 && v.p[0] == '"' ? span_of(v.p + 1, v.n - 2) : SPAN_NONE;
}

enum err
checkpoint_read_record(struct span body, struct checkpoint *out, struct errinfo *ei)
{
	struct parts parts = {
		.chain_id = text_member(body, RECORD_CHAIN_ID),
		.hash = text_member(body, RECORD_CHECKPOINT_HASH),
		.key_id = text_member(body, RECORD_KEY_ID),
		.seq = chain_find_member(body, SPAN_LIT("checkpoint_seq")),
		.signature = text_member(body, RECORD_SIGNATURE),
	};

	*out = (struct checkpoint){0};
	if (!span_eq_cstr(text_member(body, RECORD_EVENT_TYPE), CHECKPOINT_EVENT))
		return ERR(ei, ERR_PARSE, "not a checkpoint");
	return fill(&parts, out, ei);
}

bool
checkpoint_parse_record(struct span body, struct checkpoint *out)
{
	return checkpoint_read_record(body, out, NULL) == OK;
}

void
checkpoint_build_head(const struct checkpoint *cp, struct buf *out)
{
	buf_printf(out,
		"{\"chain_id\":\"%s\",\"hash\":\"%s\",\"key_id\":\"%s\",\"seq\":", cp->chain_id,
		cp->at.hash, cp->key_id);
	buf_add_uint(out, cp->at.seq);
	BUF_ADD_LIT(out, ",\"signature\":\"");
	sign_base64_encode(span_of((const char *)cp->signature, sizeof(cp->signature)), out);
	BUF_ADD_LIT(out, "\"}");
}

static struct span
json_text(const struct json *o, const char *name, enum json_type type)
{
	const struct json *v = json_find_cstr(o, name);

	return v != NULL && v->type == type ? v->text : SPAN_NONE;
}

enum err
checkpoint_parse_head(struct span text, struct checkpoint *out, struct errinfo *ei)
{
	const struct json *o = NULL;

	*out = (struct checkpoint){0};
	struct arena *a = arena_new(64 * 1024);
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = json_parse(text, a, &o, NULL, ei);
	if (rc == OK) {
		struct parts parts = {
			.chain_id = json_text(o, "chain_id", JSON_STRING),
			.hash = json_text(o, "hash", JSON_STRING),
			.key_id = json_text(o, "key_id", JSON_STRING),
			.seq = json_text(o, "seq", JSON_NUMBER),
			.signature = json_text(o, "signature", JSON_STRING),
		};
		rc = fill(&parts, out, ei);
	}
	arena_free(&a);
	/* The arena is large enough for any file of that size. */
	return rc == ERR_TOO_LARGE ? ERR(ei, ERR_NOMEM, "out of memory") : rc;
}

static enum err
parse_head(struct span text, void *out, struct errinfo *ei)
{
	return checkpoint_parse_head(text, out, ei);
}

enum err
checkpoint_read_head(const char *path, struct checkpoint *out, struct errinfo *ei)
{
	*out = (struct checkpoint){0};
	return checkpoint_read_file(path, HEAD_FILE_MAX, parse_head, out, ei);
}

enum err
checkpoint_write_head(const char *path, const struct checkpoint *cp, struct errinfo *ei)
{
	struct buf text;

	buf_init(&text, HEAD_FILE_MAX);
	checkpoint_build_head(cp, &text);
	BUF_ADD_LIT(&text, "\n");
	enum err rc = checkpoint_write_file(path, &text, ei);
	buf_fini(&text);
	return rc;
}
