/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as a resource, for a built-in and for a custom type. Whatever is accepted is a clean normal form, and reading it
 * again gives the same text wherever no escape was decoded.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/must.h"
#include "policy/action.h"
#include "support/normal_form.h"

#define ARENA_BYTES (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct span raw, bool custom, struct arena *a)
{
	struct resource first;
	struct resource again;
	struct errinfo ei = {.code = OK};

	enum err rc = resource_normalize(raw, custom, a, &first, &ei);
	if (rc != OK) {
		MUST(rc == ERR_NORMALIZE || rc == ERR_TOO_LARGE);
		MUST(ei.msg[0] != '\0' && first.text.n == 0);
		return;
	}
	MUST(normal_form_judge(&first) == NULL);
	if (!normal_form_is_fixed(&first))
		return;
	rc = resource_normalize(first.text, custom, a, &again, &ei);
	MUST(rc == ERR_TOO_LARGE || (rc == OK && span_eq(first.text, again.text)));
	MUST(rc != OK || first.scheme == again.scheme);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(ARENA_BYTES);
	struct span raw = span_of((const char *)data, size);

	MUST(a != NULL);
	check(raw, false, a);
	arena_reset(a);
	check(raw, true, a);
	arena_free(&a);
	return 0;
}
