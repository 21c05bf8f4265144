/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Typed parameters of the built-in kinds (nomos-policy.md 5.2 to 5.8, decisions 2). Private to the policy module. */
#ifndef POLICY_PARAMS_H
#define POLICY_PARAMS_H

#include "base/attr.h"
#include "base/err.h"

struct action;
struct arena;

#define PARAMS_HEADERS_MAX 128

/*
 * Reads action->params_json by action->kind into action->params. What breaks a rule is no error here: params stays empty,
 * params_err becomes ERR_INVALID and params_problem says which member and why, without its value. ERR_TOO_LARGE for the arena.
 */
MUSTCHECK enum err params_set(struct action *action, struct arena *a, struct errinfo *ei);

#endif
