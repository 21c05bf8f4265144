/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Findings about one compiled rule: what can never match, what surely was not meant. */
#ifndef POLICY_LINT_H
#define POLICY_LINT_H

#include "base/attr.h"
#include "base/err.h"
#include "bundle.h"
#include "rule.h"

/* Adds warnings; ERR_INVALID for a pattern that makes a DENY or REQUIRE_APPROVAL rule fail open. */
MUSTCHECK enum err lint_rule(const struct bundle_reader *r, const struct rule *rule);

#endif
