/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fingerprint and binding hash: SHA-256 of one canonical object that holds who, what and with which parameters. The object is
 * hashed in three parts, so that the parameters, its only big member, are never copied. An approval given for one
 * action must never fit another: the binding hash therefore tells 1.50 from "1.50". Pure; any thread.
 */
#include "fingerprint.h"

#include "base/arena.h"
#include "base/buf.h"
#include "policy/action.h"

/* One byte of the source text can become \u00xx; a number gains two quotes. */
#define CANONICAL_GROWTH 6
#define FIXED_BYTES 160

/* Whether canonical and typed form differ: some number is written with . e E. */
static bool
has_fraction(const struct json *v)
{
	if (v->type == JSON_NUMBER) {
		for (size_t i = 0; i < v->text.n; i++) {
			char c = v->text.p[i];
			if (c == '.' || c == 'e' || c == 'E')
				return true;
		}
	}
	/* At most JSON_DEPTH_MAX levels: the parser has refused more. */
	for (const struct json *child = v->first; child != NULL; child = child->next) {
		if (has_fraction(child))
			return true;
	}
	return false;
}

typedef void (*canonical_fn)(const struct json *v, struct buf *b);

static struct span
make_canonical(const struct action *action, canonical_fn write, struct arena *a)
{
	struct buf b;
	size_t n = action->params_raw.n;

	buf_init_arena(&b, a, n * CANONICAL_GROWTH + FIXED_BYTES);
	/* Nearly always the canonical form is not longer than the text, and the buffer need not grow. */
	if (buf_reserve(&b, n + 16) == NULL)
		return SPAN_NONE;
	write(action->params_json, &b);
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

static void
add_member(struct buf *b, const char *before, struct span value)
{
	buf_add_cstr(b, before);
	json_quote(b, value);
}

/* The object without its params: *head up to them, *tail behind them. False when the arena is full. */
static bool
make_frame(const struct action *action, struct arena *a, struct span *head, struct span *tail)
{
	const struct identity *id = &action->identity;
	size_t n = id->principal.n + id->agent.n + id->environment.n + action->action_type.n +
		   action->resource.text.n + action->schema_version.n;
	struct buf b;

	buf_init_arena(&b, a, n * CANONICAL_GROWTH + FIXED_BYTES);
	if (buf_reserve(&b, n + FIXED_BYTES) == NULL)
		return false;
	add_member(&b, "{\"agent\":", id->agent);
	add_member(&b, ",\"environment\":", id->environment);
	add_member(&b, ",\"normalized_action\":{\"action_type\":", action->action_type);
	BUF_ADD_LIT(&b, ",\"params\":");
	size_t split = b.n;
	add_member(&b, ",\"resource\":", action->resource.text);
	add_member(&b, ",\"schema_version\":", action->schema_version);
	add_member(&b, "},\"principal\":", id->principal);
	BUF_ADD_LIT(&b, "}");
	if (buf_failed(&b))
		return false;
	*head = span_of(b.p, split);
	*tail = span_from(buf_span(&b), split);
	return true;
}

static void
hash_parts_hex(const struct span parts[3], char out[SHA256_HEX + 1])
{
	uint8_t bytes[SHA256_BYTES];

	hash_sha256_parts(parts, 3, bytes);
	hash_hex(bytes, sizeof(bytes), out);
}

enum err
fingerprint_set(struct action *action, struct arena *a, struct errinfo *ei)
{
	struct span parts[3];

	action->params_canonical = SPAN_NONE;
	action->params_hash[0] = '\0';
	action->fingerprint[0] = '\0';
	action->binding_hash[0] = '\0';
	bool has_typed = has_fraction(action->params_json);
	struct span typed = SPAN_NONE;
	struct span canonical = make_canonical(action, json_canonical, a);
	if (has_typed)
		typed = make_canonical(action, json_canonical_typed, a);
	if (!make_frame(action, a, &parts[0], &parts[2]) || canonical.p == NULL ||
		(has_typed && typed.p == NULL))
		return ERR(ei, ERR_TOO_LARGE, "params need too much memory");
	action->params_canonical = canonical;
	hash_sha256_hex(canonical, action->params_hash);
	parts[1] = canonical;
	hash_parts_hex(parts, action->fingerprint);
	memcpy(action->binding_hash, action->fingerprint, sizeof(action->binding_hash));
	if (has_typed) {
		parts[1] = typed;
		hash_parts_hex(parts, action->binding_hash);
	}
	return OK;
}
