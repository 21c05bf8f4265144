/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes choose a bundle and actions (support/policy_gen.h); the compiled and the plain
 * evaluator must agree on each.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/must.h"
#include "policy/policy.h"
#include "support/policy_compare.h"
#include "support/policy_gen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)
#define ACTIONS 16

static void
compare(const struct policy *p, const struct json *tree, struct policy_gen *g, struct arena *a)
{
	for (int i = 0; i < ACTIONS; i++) {
		struct reference_action ra;
		struct reference_decision want;
		struct decision got;
		MUST(policy_gen_action(g, a, &ra));
		struct action action = compare_action(&ra);
		reference_decide(tree, &ra, &want);
		MUST(policy_eval(p, &action, a, &got) == OK);
		MUST(compare_decisions(&got, &want) == NULL);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_gen g = {.state = 1, .bytes = data, .n_bytes = size};
	struct policy_options options = {0};
	struct policy *p = NULL;
	const struct json *tree = NULL;
	struct buf text;

	if (hash_init(NULL) != OK)
		return 0;
	struct arena *a = arena_new(ARENA_BYTES);
	MUST(a != NULL);
	buf_init_arena(&text, a, 1 << 20);
	policy_gen_bundle(&g, 40, NULL, &text);
	struct policy_source src = {.path = SPAN_LIT("gen.json"), .bytes = buf_span(&text)};
	MUST(policy_load(&src, 1, &options, &p, NULL) == OK);
	MUST(json_parse(buf_span(&text), a, &tree, NULL, NULL) == OK);
	compare(p, tree, &g, a);
	policy_unref(&p);
	arena_free(&a);
	return 0;
}
