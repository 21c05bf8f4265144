/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* An action, its obligations and a voter, made of a few words: for the tests of approvals. */
#ifndef TESTS_APPROVAL_WORLD_H
#define TESTS_APPROVAL_WORLD_H

#include "approval/approval.h"
#include "approval/votes.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "support/test.h"

#define POLICY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define POLICY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define ID_1 "apr_000000000000000000000001"
#define TTL_NS (900 * NS_PER_SEC)

static inline void
make_action(struct action *out, const char *principal, const char *resource, const char *params)
{
	struct span parts[3] = {span_cstr(principal), span_cstr(resource), span_cstr(params)};
	uint8_t hash[SHA256_BYTES];

	*out = (struct action){
		.action_type = SPAN_LIT("payments.transfer"),
		.action_id = SPAN_LIT("act-1"),
		.trace_id = SPAN_LIT("trace-1"),
		.identity = {span_cstr(principal), SPAN_LIT("agent"), SPAN_LIT("prod")},
		.resource.text = span_cstr(resource),
		.params_canonical = span_cstr(params),
	};
	hash_sha256_parts(parts, 3, hash);
	hash_hex(hash, sizeof(hash), out->binding_hash);
	hash_hex(hash, sizeof(hash), out->fingerprint);
	hash_sha256_hex(span_cstr(params), out->params_hash);
}

/* From canonical JSON, as the policy's join leaves them. */
static inline void
make_obligations(struct obligations *out, const char *canonical, struct arena *a)
{
	const struct json *o = NULL;
	struct errinfo ei;
	int64_t v;

	*out = (struct obligations){.canonical = span_cstr(canonical)};
	CHECK(json_parse(out->canonical, a, &o, NULL, &ei) == OK);
	out->approvers = json_find_cstr(o, "approvers");
	if (json_find_cstr(o, "approval_scope_class") != NULL)
		out->approval_scope_class = json_find_cstr(o, "approval_scope_class")->text;
	if (json_get_int(json_find_cstr(o, "approval_max_uses"), 1, 1000, &v))
		out->approval_max_uses = v;
}

static inline struct approval_ballot
make_ballot(const char *approver, bool is_approval)
{
	return (struct approval_ballot){
		.vote = {.approver = span_cstr(approver), .is_approval = is_approval},
		.is_approver = true,
		.policy_hash = POLICY_A,
	};
}

#endif
