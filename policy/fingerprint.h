/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The hashes that name one action of one identity (nomos-policy.md 2.11, decisions 9). Private to the policy module. */
#ifndef POLICY_FINGERPRINT_H
#define POLICY_FINGERPRINT_H

#include "base/attr.h"
#include "base/err.h"

struct action;
struct arena;

/*
 * Fills params_canonical, params_hash, fingerprint and binding_hash. Needs identity, resource and params_json. ERR_TOO_LARGE
 * for the arena; the four are empty then.
 */
MUSTCHECK enum err fingerprint_set(struct action *action, struct arena *a, struct errinfo *ei);

#endif
