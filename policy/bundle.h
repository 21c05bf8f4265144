/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading one bundle file (nomos-policy.md 1.1 to 1.9): verify, decode, check, hash. What is kept
 * is copied into the policy's arena; the syntax tree lives in a scratch arena of the load.
 */
#ifndef POLICY_BUNDLE_H
#define POLICY_BUNDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/span.h"
#include "policy/policy.h"
#include "rule.h"

struct arena;
struct buf;

/* Findings of a load, in rule order. */
struct warnings {
	struct policy_warning *v;
	size_t n;
	size_t size;
};

struct bundle_reader {
	struct arena *arena;   /* the policy's: what stays */
	struct arena *scratch; /* the load's */
	const struct policy_options *options;
	struct warnings *warnings;
	struct errinfo *ei; /* never NULL */
	struct span path;   /* names the file in messages; in the policy's arena */
	uint32_t source;
	bool is_yaml;
};

struct bundle {
	struct rule *rules; /* in file order */
	size_t n_rules;
	char hash[SHA256_HEX + 1];
};

/* ERR_FORBIDDEN when src->verify and the signature does not hold. Nothing has been decoded then. */
MUSTCHECK enum err bundle_verify(const struct policy_source *src,
	const struct policy_options *options, struct arena *scratch, struct errinfo *ei);
/* Decodes, checks, compiles and hashes. ERR_PARSE, ERR_INVALID, ERR_TOO_LARGE. */
MUSTCHECK enum err bundle_parse(
	const struct bundle_reader *r, struct span text, struct bundle *out);
/* One element of "rules". */
MUSTCHECK enum err bundle_parse_rule(
	const struct bundle_reader *r, const struct json *v, struct rule *out);

/* Sets r->ei to "path:line:column: text" with the place of v and returns code. */
enum err bundle_fault(const struct bundle_reader *r, const struct json *v, enum err code,
	const char *fmt, ...) PRINTF_LIKE(4, 5);
/* "arena is full" as an error of the load. */
enum err bundle_full(const struct bundle_reader *r);
/* A string, or in YAML any plain scalar as it is written. `what` names it in messages. */
MUSTCHECK enum err bundle_parse_text(
	const struct bundle_reader *r, const struct json *v, const char *what, struct span *out);
/*
 * Refuses members that are not in known[] and case twins of those that are. `where` is "" or "rule
 * X ".
 */
MUSTCHECK enum err bundle_check_members(const struct bundle_reader *r, const struct json *o,
	struct span where, const char *const known[], size_t n_known);
/* Adds a finding about rule at the place of v (NULL: of the rule). */
MUSTCHECK enum err bundle_warn(const struct bundle_reader *r, const struct rule *rule,
	const struct json *v, const char *code, const char *fmt, ...) PRINTF_LIKE(5, 6);

/*
 * A copy of an obligation value with each number written as the reference writes it: integers as
 * they are when an integer type holds them, anything else as Go prints the float64. NULL with r->ei
 * set on failure.
 */
MUSTCHECK struct json *bundle_clone_value(const struct bundle_reader *r, const struct json *v);
/* The number's text as above; {NULL, 0} when it is no finite number. In the policy's arena. */
struct span bundle_number_text(struct arena *a, struct span text, bool is_yaml);

/* The hash of the typed bundle (1.8). ERR_TOO_LARGE, ERR_NOMEM. */
MUSTCHECK enum err bundle_hash(
	const struct rule *rules, size_t n, char out[SHA256_HEX + 1], struct errinfo *ei);
/* Its canonical text, appended; for tests and tools. */
void bundle_canonical(const struct rule *rules, size_t n, struct buf *b);

#endif
