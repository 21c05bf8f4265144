/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The line that closes an export: built, signed, read. Pure. */
#include "audit/trailer.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"

#define LINE_MARK "\"trailer\":\"" TRAILER_DOMAIN "\"}"

static void
build_text(const struct trailer *t, struct buf *b)
{
	BUF_ADD_LIT(b, TRAILER_DOMAIN "\n");
	buf_add_cstr(b, t->chain_id);
	buf_add_char(b, '\n');
	buf_add_uint(b, t->count);
	buf_add_char(b, '\n');
	buf_add_uint(b, t->head.seq);
	buf_add_char(b, '\n');
	buf_add_cstr(b, t->head.hash);
}

enum err
trailer_sign(struct trailer *t, const struct sign_key *key, struct errinfo *ei)
{
	struct buf b;

	t->is_signed = false;
	if (key == NULL)
		return OK;
	buf_init(&b, TRAILER_BYTES_MAX);
	build_text(t, &b);
	enum err rc = buf_failed(&b) ? ERR(ei, ERR_NOMEM, "out of memory")
				     : sign_ed25519(key, buf_span(&b), t->signature, ei);
	buf_fini(&b);
	if (rc != OK)
		return rc;
	memcpy(t->key_id, sign_key_id(key), sizeof(t->key_id));
	t->is_signed = true;
	return OK;
}

bool
trailer_is_signed_by(const struct trailer *t, const struct sign_key *public_key)
{
	struct buf b;

	if (!t->is_signed || strcmp(t->key_id, sign_key_id(public_key)) != 0)
		return false;
	buf_init(&b, TRAILER_BYTES_MAX);
	build_text(t, &b);
	struct span signature = span_of((const char *)t->signature, sizeof(t->signature));
	bool ok = !buf_failed(&b) && sign_ed25519_verify(public_key, buf_span(&b), signature);
	buf_fini(&b);
	return ok;
}

void
trailer_build(const struct trailer *t, struct buf *out)
{
	BUF_ADD_LIT(out, "{\"chain_id\":");
	json_quote(out, span_cstr(t->chain_id));
	BUF_ADD_LIT(out, ",\"count\":");
	buf_add_uint(out, t->count);
	BUF_ADD_LIT(out, ",\"head\":");
	json_quote(out, span_cstr(t->head.hash));
	if (t->is_signed) {
		BUF_ADD_LIT(out, ",\"key_id\":");
		json_quote(out, span_cstr(t->key_id));
	}
	BUF_ADD_LIT(out, ",\"seq\":");
	buf_add_uint(out, t->head.seq);
	if (t->is_signed) {
		BUF_ADD_LIT(out, ",\"signature\":\"");
		sign_base64_encode(span_of((const char *)t->signature, sizeof(t->signature)), out);
		buf_add_char(out, '"');
	}
	BUF_ADD_LIT(out, "," LINE_MARK);
}

bool
trailer_is_line(struct span line)
{
	return line.n <= TRAILER_BYTES_MAX && span_ends(line, SPAN_LIT(LINE_MARK));
}

static bool
take_text(const struct json *o, const char *name, char *out, size_t size)
{
	const struct json *v = json_find_cstr(o, name);

	if (v == NULL || v->type != JSON_STRING || v->text.n + 1 != size)
		return false;
	memcpy(out, v->text.p, v->text.n);
	out[v->text.n] = '\0';
	return true;
}

static bool
take_signature(const struct json *o, struct trailer *out)
{
	const struct json *v = json_find_cstr(o, "signature");
	struct buf raw;

	if (v == NULL)
		return json_find_cstr(o, "key_id") == NULL;
	if (v->type != JSON_STRING || !take_text(o, "key_id", out->key_id, sizeof(out->key_id)))
		return false;
	buf_init(&raw, TRAILER_BYTES_MAX);
	bool ok = sign_base64_decode(v->text, &raw, NULL) == OK && raw.n == sizeof(out->signature);
	if (ok)
		memcpy(out->signature, raw.p, raw.n);
	out->is_signed = ok;
	buf_fini(&raw);
	return ok;
}

static bool
take_members(const struct json *o, struct trailer *out)
{
	int64_t count = 0;
	int64_t seq = 0;

	if (!take_text(o, "chain_id", out->chain_id, sizeof(out->chain_id)) ||
		!take_text(o, "head", out->head.hash, sizeof(out->head.hash)) ||
		!json_get_int(json_find_cstr(o, "count"), 0, INT64_MAX, &count) ||
		!json_get_int(json_find_cstr(o, "seq"), 0, INT64_MAX, &seq))
		return false;
	out->count = (uint64_t)count;
	out->head.seq = (uint64_t)seq;
	return take_signature(o, out);
}

/* A line has one form: a byte more or less anywhere is a change. */
static bool
is_canonical(const struct trailer *t, struct span line)
{
	struct buf b;

	buf_init(&b, TRAILER_BYTES_MAX);
	trailer_build(t, &b);
	bool ok = !buf_failed(&b) && span_eq(buf_span(&b), line);
	buf_fini(&b);
	return ok;
}

enum err
trailer_parse(struct span line, struct trailer *out, struct errinfo *ei)
{
	const struct json *o = NULL;

	*out = (struct trailer){0};
	struct arena *a = arena_new(64 * 1024);
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = json_parse(line, a, &o, NULL, ei);
	if (rc == OK && (!take_members(o, out) || !is_canonical(out, line)))
		rc = ERR(ei, ERR_PARSE, "malformed trailer");
	if (rc != OK)
		*out = (struct trailer){0};
	arena_free(&a);
	return rc;
}
