/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles from hostile bytes. What loads must load again to the same hash, decide and explain
 * without failing, and its explanation must be JSON. An even first byte means YAML, an odd one
 * JSON.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/must.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 65536
#define ARENA_BYTES ((size_t)64 * 1024 * 1024)

static const struct span argv[] = {{"git", 3}, {"push", 4}};

static const struct action actions[] = {
	{.action_type = {"fs.read", 7},
		.kind = ACTION_FS_READ,
		.identity = {{"p", 1}, {"a", 1}, {"dev", 3}},
		.resource = {.text = {"file://workspace/a/.env", 23}}},
	{.action_type = {"process.exec", 12},
		.kind = ACTION_PROCESS_EXEC,
		.risk = RISK_EXEC,
		.identity = {{"p", 1}, {"a", 1}, {"dev", 3}},
		.resource = {.text = {"file://workspace/", 17}},
		.params = {.argv = argv, .n_argv = 2}},
};

static void
try_actions(const struct policy *p)
{
	static const struct policy_explain_options options = {.suggestions = true,
		.with_near_misses = true,
		.with_exec_authorization = true,
		.engine_version = {"0", 1},
		.assurance_level = {"NONE", 4}};

	for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
		struct arena *a = arena_new(ARENA_BYTES);
		struct decision d;
		struct buf b;
		const struct json *tree;
		MUST(a != NULL);
		MUST(policy_eval(p, &actions[i], a, &d) == OK);
		MUST(json_parse(d.obligations.canonical, a, &tree, NULL, NULL) == OK ||
			d.obligations.canonical.n > 2);
		buf_init(&b, BUF_CAP_FILE);
		if (policy_explain(p, &actions[i], a, &options, &b, NULL) == OK)
			MUST(json_parse(buf_span(&b), a, &tree, NULL, NULL) == OK);
		buf_fini(&b);
		arena_free(&a);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_options options = {0};
	struct errinfo ei = {0};
	struct policy *p = NULL;
	struct policy *again = NULL;

	if (size == 0 || size > INPUT_MAX || hash_init(NULL) != OK)
		return 0;
	struct policy_source src = {
		.path = data[0] % 2 == 0 ? SPAN_LIT("f.yaml") : SPAN_LIT("f.json"),
		.bytes = span_of((const char *)data + 1, size - 1),
	};
	enum err rc = policy_load(&src, 1, &options, &p, &ei);
	MUST((rc == OK) == (p != NULL));
	MUST(rc == OK || ei.msg[0] != '\0');
	if (rc != OK)
		return 0;
	MUST(policy_load(&src, 1, &options, &again, &ei) == OK);
	MUST(span_eq_cstr(span_cstr(policy_get_hash(p)), policy_get_hash(again)));
	try_actions(p);
	policy_unref(&again);
	policy_unref(&p);
	return 0;
}
