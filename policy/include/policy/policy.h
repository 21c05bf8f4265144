/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled policy: one or several bundles (nomos-policy.md 1), checked, hashed, merged and
 * indexed when loaded, immutable from then on and shared by all threads. Evaluation is a pure
 * function of policy, action and identity (design.md rule 4): no clock, no I/O, no allocation
 * outside the request's arena.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"
#include "policy/action.h"
#include "policy/decision.h"

struct arena;
struct buf;
struct policy;

/* One bundle as its loader read it; the module itself reads no file. */
struct policy_source {
	struct span path;  /* as configured; its extension says YAML or JSON; names the source */
	struct span role;  /* baseline, org, repo, env, local_override, or empty */
	struct span bytes; /* the file */
	struct span signature; /* base64 text of the detached signature, or empty */
	bool verify;           /* the signature must verify, before anything is decoded */
};

enum policy_exec_mode { POLICY_EXEC_LEGACY_FALLBACK = 0, POLICY_EXEC_STRICT };

struct policy_options {
	enum policy_exec_mode exec_mode;
	bool strict_obligations;    /* unknown obligations are errors */
	struct span public_key_pem; /* for sources with verify */
};

/*
 * A finding that does not stop the load: dead rule, unknown obligation, lint. Borrowed from the
 * policy.
 */
struct policy_warning {
	struct span rule_id;
	struct span code;
	struct span message;
	struct span place; /* "path:line:column" */
};

/*
 * Loads, verifies, checks, merges and compiles. Errors carry "path:line:column: " where they have a
 * place; with more than one source they start with "load bundle PATH: ". The policy owns copies of
 * all it needs. ERR_PARSE, ERR_INVALID, ERR_FORBIDDEN (signature), ERR_TOO_LARGE, ERR_NOMEM.
 */
MUSTCHECK enum err policy_load(const struct policy_source *sources, size_t n,
	const struct policy_options *options, struct policy **out, struct errinfo *ei);
/* Counted: a snapshot and each request in flight hold one. */
struct policy *policy_ref(struct policy *p);
void policy_unref(struct policy **p);

/*
 * Lower-case hex; the bundle's own hash, or the merged hash for several sources. NUL-terminated,
 * borrowed.
 */
const char *policy_get_hash(const struct policy *p);
size_t policy_count_rules(const struct policy *p);
size_t policy_count_sources(const struct policy *p);
/* Canonical JSON, borrowed: policy_bundle_sources (`["path#hash"]`, empty span when one source) and
 * policy_bundle_inputs (`[{path, hash, role?, signature_verified?}]`). */
struct span policy_get_sources_json(const struct policy *p);
struct span policy_get_inputs_json(const struct policy *p);
/* Warnings, in rule order; *n is their number. */
const struct policy_warning *policy_get_warnings(const struct policy *p, size_t *n);

/*
 * The decision. The action has been normalised. Only a default deny, never an error, comes of a
 * rule that cannot be tested. When the arena is full *out is a deny and ERR_TOO_LARGE is returned.
 */
MUSTCHECK enum err policy_eval(
	const struct policy *p, const struct action *action, struct arena *a, struct decision *out);

/* What /explain and `policy explain` add to a decision. */
struct policy_explain_options {
	bool suggestions;             /* minimal_allowing_change */
	bool with_exec_authorization; /* the CLI form */
	bool with_near_misses;        /* ours: per rule the first failing condition, best first */
	struct span engine_version;
	struct span assurance_level;
};
/*
 * Appends the members of nomos-policy.md 3.2, as one JSON object, to out. HTTP form: members in the
 * order of nomos-http.md 1.5 with action_id and trace_id first; CLI form (with_exec_authorization):
 * keys sorted. ERR_TOO_LARGE.
 */
MUSTCHECK enum err policy_explain(const struct policy *p, const struct action *action,
	struct arena *a, const struct policy_explain_options *options, struct buf *out,
	struct errinfo *ei);

#endif
