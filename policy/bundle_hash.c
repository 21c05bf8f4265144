/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The canonical form of the typed bundle and its hash (nomos-policy.md 1.7, 1.8): members sorted,
 * empty lists and maps left out, rules in file order. Comments, key order and YAML or JSON make no
 * difference. Also the copies of obligation values that it covers. Runs on the thread that loads.
 */
#include "bundle.h"

#include "base/arena.h"
#include "base/buf.h"

/* Deeper obligations are refused by the parsers; this bounds the recursion here by itself. */
#define VALUE_DEPTH_MAX JSON_DEPTH_MAX
/* Escapes make a canonical form up to six times as long as the file. */
#define CANONICAL_BYTES_MAX ((size_t)BUF_CAP_FILE * 6)

static struct json *clone(const struct bundle_reader *r, const struct json *v, unsigned depth);

static bool
clone_children(
	const struct bundle_reader *r, const struct json *v, struct json *copy, unsigned depth)
{
	for (const struct json *m = v->first; m != NULL; m = m->next) {
		struct json *c = clone(r, m, depth + 1);
		if (c == NULL)
			return false;
		bool ok = v->type == JSON_OBJECT ? json_add_member(r->arena, copy, m->name, c)
						 : json_add_element(r->arena, copy, c);
		if (!ok) {
			(void)bundle_full(r);
			return false;
		}
	}
	return true;
}

static struct json *
clone(const struct bundle_reader *r, const struct json *v, unsigned depth)
{
	if (depth > VALUE_DEPTH_MAX) {
		(void)bundle_fault(r, v, ERR_INVALID, "decode bundle: obligations are too deep");
		return NULL;
	}
	struct json *copy = json_new(r->arena, v->type);
	if (copy == NULL) {
		(void)bundle_full(r);
		return NULL;
	}
	copy->boolean = v->boolean;
	if (v->type == JSON_STRING)
		copy->text = arena_dup(r->arena, v->text);
	if (v->type == JSON_NUMBER) {
		copy->text = bundle_number_text(r->arena, v->text, r->is_yaml);
		if (copy->text.n == 0 && !arena_failed(r->arena)) {
			(void)bundle_fault(r, v, ERR_INVALID,
				"canonicalize bundle: json: unsupported value: %.*s",
				SPAN_ARG(v->text));
			return NULL;
		}
	}
	if (!clone_children(r, v, copy, depth))
		return NULL;
	/* Only now: a made tree that has a place is complete. */
	copy->line = v->line;
	copy->column = v->column;
	return copy;
}

struct json *
bundle_clone_value(const struct bundle_reader *r, const struct json *v)
{
	struct json *copy = clone(r, v, 1);

	if (copy != NULL && arena_failed(r->arena)) {
		(void)bundle_full(r);
		return NULL;
	}
	return copy;
}

static void
put_list(struct buf *b, const struct rule_list *list)
{
	buf_add_char(b, '[');
	for (uint32_t i = 0; i < list->n; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		json_quote(b, list->v[i]);
	}
	buf_add_char(b, ']');
}

static void
put_optional(struct buf *b, const char *key, const struct rule_list *list)
{
	if (list->n == 0)
		return;
	buf_printf(b, ",\"%s\":", key);
	put_list(b, list);
}

static void
put_exec_match(struct buf *b, const struct rule *r)
{
	if (!r->has_exec_match)
		return;
	BUF_ADD_LIT(b, ",\"exec_match\":{\"argv_patterns\":[");
	for (uint32_t i = 0; i < r->n_patterns; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		put_list(b, &r->patterns[i].tokens);
	}
	BUF_ADD_LIT(b, "]}");
}

/* The members in byte order of their names. */
static void
put_rule(struct buf *b, const struct rule *r)
{
	BUF_ADD_LIT(b, "{\"action_type\":");
	json_quote(b, r->action_type);
	put_optional(b, "agents", &r->who[RULE_AGENT].text);
	buf_printf(b, ",\"decision\":\"%s\"", verdict_name(r->verdict));
	put_optional(b, "environments", &r->who[RULE_ENVIRONMENT].text);
	put_exec_match(b, r);
	BUF_ADD_LIT(b, ",\"id\":");
	json_quote(b, r->id);
	if (r->written != NULL) {
		BUF_ADD_LIT(b, ",\"obligations\":");
		json_canonical(r->written, b);
	}
	put_optional(b, "principals", &r->who[RULE_PRINCIPAL].text);
	BUF_ADD_LIT(b, ",\"resource\":");
	json_quote(b, r->resource);
	put_optional(b, "risk_flags", &r->risk_flags);
	buf_add_char(b, '}');
}

void
bundle_canonical(const struct rule *rules, size_t n, struct buf *b)
{
	BUF_ADD_LIT(b, "{\"rules\":[");
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		put_rule(b, &rules[i]);
	}
	BUF_ADD_LIT(b, "],\"version\":\"v1\"}");
}

enum err
bundle_hash(const struct rule *rules, size_t n, char out[SHA256_HEX + 1], struct errinfo *ei)
{
	struct buf b;

	buf_init(&b, CANONICAL_BYTES_MAX);
	bundle_canonical(rules, n, &b);
	bool failed = buf_failed(&b);
	if (!failed)
		hash_sha256_hex(buf_span(&b), out);
	buf_fini(&b);
	return failed ? ERR(ei, ERR_TOO_LARGE, "canonicalize bundle: too large") : OK;
}
