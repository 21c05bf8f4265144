/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading a policy and holding it. Everything of a policy lies in one arena that goes with the last
 * reference. A load either yields a complete policy or nothing; it must never yield one with a rule
 * left out. Loading runs on one thread, references are counted from any.
 */
#include "policy/policy.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/parse.h"
#include "policy_priv.h"

/*
 * Arena bytes per byte of bundle text: a short rule with its patterns, typed obligations and index
 * entries.
 */
#define ARENA_PER_BYTE 128
#define ARENA_START ((size_t)4 * 1024 * 1024)
#define SOURCES_MAX 1024

struct load {
	struct policy *policy;
	struct arena *scratch;
	struct bundle *bundles;
	const struct policy_source *sources;
	size_t n;
	const struct policy_options *options;
	struct errinfo *ei;
};

static bool
is_yaml_path(struct span path)
{
	return (path.n >= 5 && span_eq_nocase(span_from(path, path.n - 5), SPAN_LIT(".yaml"))) ||
	       (path.n >= 4 && span_eq_nocase(span_from(path, path.n - 4), SPAN_LIT(".yml")));
}

/* "load bundle PATH: " goes before every message when there are several bundles. */
static enum err
name_source(const struct load *l, struct span path, enum err rc)
{
	return l->n > 1 ? ERR_WRAP(l->ei, rc, "load bundle %.*s", SPAN_ARG(path)) : rc;
}

static enum err
load_source(struct load *l, size_t i)
{
	const struct policy_source *src = &l->sources[i];
	struct source *s = &l->policy->sources[i];

	if (src->path.n == 0)
		return ERR(l->ei, ERR_INVALID, "bundle path is required");
	s->path = arena_dup(l->policy->arena, src->path);
	s->role = arena_dup(l->policy->arena, src->role);
	struct bundle_reader r = {
		.arena = l->policy->arena,
		.scratch = l->scratch,
		.options = l->options,
		.warnings = &l->policy->warnings,
		.ei = l->ei,
		.path = s->path,
		.source = (uint32_t)i,
		.is_yaml = is_yaml_path(src->path),
	};
	if (arena_failed(l->policy->arena))
		return bundle_full(&r);
	enum err rc = bundle_verify(src, l->options, l->scratch, l->ei);
	if (rc == OK)
		rc = bundle_parse(&r, src->bytes, &l->bundles[i]);
	if (rc != OK)
		return name_source(l, src->path, rc);
	s->is_verified = src->verify;
	memcpy(s->hash, l->bundles[i].hash, sizeof(s->hash));
	arena_reset(l->scratch);
	return OK;
}

static enum err
hash_policy(struct load *l)
{
	struct policy *p = l->policy;

	if (l->n == 1) {
		memcpy(p->hash, p->sources[0].hash, sizeof(p->hash));
		return OK;
	}
	const char **hashes = ARENA_ARRAY(l->scratch, const char *, l->n);
	if (hashes == NULL)
		return ERR(l->ei, ERR_NOMEM, "merge bundles: out of memory");
	for (size_t i = 0; i < l->n; i++)
		hashes[i] = p->sources[i].hash;
	return merge_hash(hashes, l->n, p->hash, l->ei);
}

static enum err
load_all(struct load *l)
{
	struct policy *p = l->policy;

	p->sources = ARENA_ARRAY(p->arena, struct source, l->n);
	l->bundles = ARENA_ARRAY(p->arena, struct bundle, l->n);
	if (p->sources == NULL || l->bundles == NULL)
		return ERR(l->ei, ERR_NOMEM, "load policy: out of memory");
	p->n_sources = l->n;
	for (size_t i = 0; i < l->n; i++) {
		enum err rc = load_source(l, i);
		if (rc != OK)
			return rc;
	}
	enum err rc = merge_rules(p, l->bundles, l->ei);
	if (rc == OK)
		rc = hash_policy(l);
	if (rc != OK)
		return rc;
	p->index = index_new(p->rules, p->n_rules, p->arena);
	if (p->index != NULL)
		p->heads = rule_heads_new(p->rules, p->n_rules, p->index, p->arena);
	if (p->heads == NULL || !merge_describe(p))
		return ERR(l->ei, ERR_NOMEM, "load policy: out of memory");
	return OK;
}

/* Zero when the sources are too large. */
static size_t
arena_cap(const struct policy_source *sources, size_t n)
{
	size_t bytes = 0;

	for (size_t i = 0; i < n; i++) {
		if (!size_add(bytes, sources[i].bytes.n, &bytes) ||
			!size_add(bytes, sources[i].signature.n, &bytes))
			return 0;
	}
	if (!size_mul(bytes, ARENA_PER_BYTE, &bytes) || !size_add(bytes, ARENA_START, &bytes))
		return 0;
	return bytes;
}

enum err
policy_load(const struct policy_source *sources, size_t n, const struct policy_options *options,
	struct policy **out, struct errinfo *ei)
{
	struct errinfo own = {0};
	struct load l = {
		.sources = sources, .n = n, .options = options, .ei = ei != NULL ? ei : &own};

	*out = NULL;
	if (n == 0)
		return ERR(l.ei, ERR_INVALID, "at least one bundle path is required");
	size_t cap = arena_cap(sources, n);
	if (cap == 0 || n > SOURCES_MAX)
		return ERR(l.ei, ERR_TOO_LARGE, "bundles are too large");
	enum err rc = ERR_NOMEM;
	l.scratch = arena_new(cap);
	l.policy = mem_zalloc(1, sizeof(*l.policy));
	if (l.scratch != NULL && l.policy != NULL) {
		l.policy->magic = POLICY_MAGIC;
		atomic_init(&l.policy->n_refs, 1);
		l.policy->exec_mode = options->exec_mode;
		l.policy->arena = arena_new(cap);
	}
	if (l.policy == NULL || l.policy->arena == NULL)
		(void)ERR(l.ei, rc, "load policy: out of memory");
	else
		rc = load_all(&l);
	arena_free(&l.scratch);
	if (rc == OK)
		*out = l.policy;
	else if (l.policy != NULL && l.policy->magic == POLICY_MAGIC)
		policy_unref(&l.policy);
	else
		mem_free(l.policy);
	return rc;
}

struct policy *
policy_ref(struct policy *p)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	atomic_fetch_add_explicit(&p->n_refs, 1, memory_order_relaxed);
	return p;
}

void
policy_unref(struct policy **p)
{
	struct policy *policy = *p;

	*p = NULL;
	if (policy == NULL)
		return;
	OBJ_CHECK(policy, POLICY_MAGIC);
	if (atomic_fetch_sub_explicit(&policy->n_refs, 1, memory_order_acq_rel) != 1)
		return;
	policy->magic = 0;
	arena_free(&policy->arena);
	mem_free(policy);
}

const char *
policy_get_hash(const struct policy *p)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	return p->hash;
}

size_t
policy_count_rules(const struct policy *p)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	return p->n_rules;
}

size_t
policy_count_sources(const struct policy *p)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	return p->n_sources;
}

struct span
policy_get_sources_json(const struct policy *p)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	return p->sources_json;
}

struct span
policy_get_inputs_json(const struct policy *p)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	return p->inputs_json;
}

const struct policy_warning *
policy_get_warnings(const struct policy *p, size_t *n)
{
	OBJ_CHECK(p, POLICY_MAGIC);
	*n = p->warnings.n;
	return p->warnings.v;
}
