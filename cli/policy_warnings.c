/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Prints dead rules, unknown obligations and the like, each with its place in the file. */
#include "policy_warnings.h"

#include "base/log.h"
#include "policy/policy.h"

void
print_policy_warnings(const struct policy *p)
{
	size_t n = 0;
	const struct policy_warning *w = policy_get_warnings(p, &n);

	for (size_t i = 0; i < n; i++)
		log_warn(NULL, "%.*s: rule %.*s: %.*s (%.*s)", SPAN_ARG(w[i].place),
			SPAN_ARG(w[i].rule_id), SPAN_ARG(w[i].message), SPAN_ARG(w[i].code));
}
