/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of the policy share: a policy from text, a normalised action from its parts. For test
 * programs that link nomos::policy; a failure inside is a failed check of the test. One thread.
 */
#ifndef TESTS_SUPPORT_POLICY_FIXTURE_H
#define TESTS_SUPPORT_POLICY_FIXTURE_H

#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "policy/policy.h"
#include "support/test.h"

#define FIXTURE_ARENA_BYTES ((size_t)4 * 1024 * 1024)

static inline enum err
fixture_load(const char *path, const char *text, const struct policy_options *options,
	struct policy **out, struct errinfo *ei)
{
	struct policy_options none = {0};
	struct policy_source src = {.path = span_cstr(path), .bytes = span_cstr(text)};

	if (hash_init(ei) != OK)
		return ERR_CRYPTO;
	return policy_load(&src, 1, options != NULL ? options : &none, out, ei);
}

/* A policy that must load; NULL after a failed check. */
static inline struct policy *
fixture_policy(const char *path, const char *text)
{
	struct errinfo ei = {0};
	struct policy *p = NULL;

	if (fixture_load(path, text, NULL, &p, &ei) != OK)
		FAIL("%s does not load: %s", path, ei.msg);
	return p;
}

/* The message of a load that must fail, "" when it does not. */
static inline const char *
fixture_error(const char *path, const char *text, const struct policy_options *options)
{
	static struct errinfo ei;
	struct policy *p = NULL;

	ei = (struct errinfo){0};
	if (fixture_load(path, text, options, &p, &ei) == OK) {
		policy_unref(&p);
		return "";
	}
	return p == NULL ? ei.msg : "the policy is not empty after a failure";
}

struct fixture_action {
	const char *type;
	const char *resource;
	const char *params;      /* NULL: {} */
	const char *principal;   /* NULL: p1 */
	const char *agent;       /* NULL: a1 */
	const char *environment; /* NULL: dev */
};

/* A normalised action in arena a; NULL after a failed check. */
static inline struct action *
fixture_action(struct arena *a, struct fixture_action f)
{
	struct identity who = {
		span_cstr(f.principal != NULL ? f.principal : "p1"),
		span_cstr(f.agent != NULL ? f.agent : "a1"),
		span_cstr(f.environment != NULL ? f.environment : "dev"),
	};
	struct action *action = NULL;
	struct errinfo ei = {0};
	struct buf b;

	buf_init_arena(&b, a, ACTION_BODY_BYTES_MAX);
	buf_printf(&b,
		"{\"schema_version\":\"v1\",\"action_id\":\"act-1\",\"trace_id\":\"trace-1\","
		"\"action_type\":\"%s\",\"resource\":",
		f.type);
	json_quote(&b, span_cstr(f.resource));
	BUF_ADD_LIT(&b, ",\"params\":");
	buf_add_cstr(&b, f.params != NULL ? f.params : "{}");
	BUF_ADD_LIT(&b, ",\"context\":{\"extensions\":{}}}");
	enum err rc = action_parse(buf_span(&b), a, &action, &ei);
	if (rc == OK)
		rc = action_normalize(action, &who, a, &ei);
	if (rc != OK) {
		FAIL("%s %s is no action: %s", f.type, f.resource, ei.msg);
		return NULL;
	}
	return action;
}

/* "id,id" of a decision. In arena a. */
static inline const char *
fixture_ids(const struct decision *d, struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, 65536);
	for (size_t i = 0; i < d->n_rule_ids; i++) {
		if (i > 0)
			buf_add_char(&b, ',');
		buf_add_span(&b, d->rule_ids[i]);
	}
	buf_add_char(&b, '\0');
	return buf_span(&b).p;
}

/* The decision about one action. */
static inline struct decision
fixture_decide(const struct policy *p, struct arena *a, struct fixture_action f)
{
	struct decision d = {.obligations = {.canonical = SPAN_LIT("{}")}};
	const struct action *action = fixture_action(a, f);

	if (action != NULL)
		CHECK_INT(policy_eval(p, action, a, &d), OK);
	return d;
}

/* A whole file in a NUL-terminated arena string; NULL after a failed check. */
static inline const char *
fixture_file(struct arena *a, const char *path)
{
	char full[512];
	struct buf b;

	snprintf(full, sizeof(full), "%s/%s", test_source_dir(), path);
	FILE *f = fopen(full, "rb");
	if (f == NULL) {
		FAIL("%s cannot be opened", full);
		return NULL;
	}
	buf_init_arena(&b, a, 1 << 20);
	char chunk[4096];
	for (size_t n = fread(chunk, 1, sizeof(chunk), f); n > 0;
		n = fread(chunk, 1, sizeof(chunk), f))
		buf_add(&b, chunk, n);
	fclose(f);
	buf_add_char(&b, '\0');
	return buf_span(&b).p;
}

#endif
