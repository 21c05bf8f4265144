/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Several bundles as one policy (nomos-policy.md 1.10): all rules together, ids unique over all of
 * them, the merged hash, and what replies say about the sources. Roles are labels. Runs on the
 * thread that loads.
 */
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "policy_priv.h"

static int
compare_rules(const void *a, const void *b)
{
	const struct rule *const *x = a;
	const struct rule *const *y = b;
	int c = span_cmp((*x)->id, (*y)->id);

	if (c != 0)
		return c;
	if ((*x)->place.source != (*y)->place.source)
		return (*x)->place.source < (*y)->place.source ? -1 : 1;
	if ((*x)->place.line != (*y)->place.line)
		return (*x)->place.line < (*y)->place.line ? -1 : 1;
	return ((*x)->place.column > (*y)->place.column) -
	       ((*x)->place.column < (*y)->place.column);
}

static enum err
refuse_twin(const struct policy *p, const struct rule *first, const struct rule *second,
	struct errinfo *ei)
{
	const struct source *a = &p->sources[first->place.source];
	const struct source *b = &p->sources[second->place.source];

	if (a == b)
		return ERR(ei, ERR_INVALID, "%.*s:%u:%u: duplicate rule id \"%.*s\"",
			SPAN_ARG(b->path), second->place.line, second->place.column,
			SPAN_ARG(second->id));
	return ERR(ei, ERR_INVALID,
		"%.*s:%u:%u: duplicate rule id \"%.*s\" in bundles %.*s and %.*s",
		SPAN_ARG(b->path), second->place.line, second->place.column, SPAN_ARG(second->id),
		SPAN_ARG(a->path), SPAN_ARG(b->path));
}

enum err
merge_rules(struct policy *p, const struct bundle *bundles, struct errinfo *ei)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_sources; i++)
		n += bundles[i].n_rules;
	p->rules = ARENA_ARRAY(p->arena, struct rule *, n);
	if (p->rules == NULL)
		return ERR(ei, ERR_TOO_LARGE, "policy does not fit into memory");
	for (size_t i = 0; i < p->n_sources; i++) {
		for (size_t k = 0; k < bundles[i].n_rules; k++)
			p->rules[p->n_rules++] = &bundles[i].rules[k];
	}
	qsort(p->rules, n, sizeof(*p->rules), compare_rules);
	for (size_t i = 1; i < n; i++) {
		if (span_eq(p->rules[i]->id, p->rules[i - 1]->id))
			return refuse_twin(p, p->rules[i - 1], p->rules[i], ei);
	}
	return OK;
}

/* Bytes of one hash in the merged text, with quotes and comma. */
#define HASH_ELEMENT_BYTES (SHA256_HEX + 3)

enum err
merge_hash(const char *const *hashes, size_t n, char out[SHA256_HEX + 1], struct errinfo *ei)
{
	struct buf b;

	buf_init(&b, 128 + n * HASH_ELEMENT_BYTES);
	BUF_ADD_LIT(&b, "{\"bundle_hashes\":[");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s\"%s\"", i > 0 ? "," : "", hashes[i]);
	BUF_ADD_LIT(&b, "],\"merge_algorithm_version\":\"nomos.policy.merge.v1\"}");
	bool failed = buf_failed(&b);
	if (!failed)
		hash_sha256_hex(buf_span(&b), out);
	buf_fini(&b);
	return failed ? ERR(ei, ERR_NOMEM, "merge bundles: out of memory") : OK;
}

static void
put_input(struct buf *b, const struct source *s)
{
	buf_printf(b, "{\"hash\":\"%s\",\"path\":", s->hash);
	json_quote(b, s->path);
	if (s->role.n > 0) {
		BUF_ADD_LIT(b, ",\"role\":");
		json_quote(b, s->role);
	}
	if (s->is_verified)
		BUF_ADD_LIT(b, ",\"signature_verified\":true");
	buf_add_char(b, '}');
}

static bool
describe_inputs(struct policy *p)
{
	struct buf b;

	buf_init_arena(&b, p->arena, BUF_CAP_REPLY);
	buf_add_char(&b, '[');
	for (size_t i = 0; i < p->n_sources; i++) {
		if (i > 0)
			buf_add_char(&b, ',');
		put_input(&b, &p->sources[i]);
	}
	buf_add_char(&b, ']');
	p->inputs_json = buf_span(&b);
	return !buf_failed(&b);
}

static bool
describe_sources(struct policy *p)
{
	struct buf b;

	if (p->n_sources < 2)
		return true;
	buf_init_arena(&b, p->arena, BUF_CAP_REPLY);
	buf_add_char(&b, '[');
	for (size_t i = 0; i < p->n_sources; i++) {
		if (i > 0)
			buf_add_char(&b, ',');
		json_quote(&b, p->sources[i].label);
	}
	buf_add_char(&b, ']');
	p->sources_json = buf_span(&b);
	return !buf_failed(&b);
}

bool
merge_describe(struct policy *p)
{
	for (size_t i = 0; i < p->n_sources; i++) {
		struct source *s = &p->sources[i];
		s->label = arena_printf(p->arena, "%.*s#%s", SPAN_ARG(s->path), s->hash);
	}
	return describe_inputs(p) && describe_sources(p) && !arena_failed(p->arena);
}
