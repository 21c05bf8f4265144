/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who acts: the triple that authentication and configuration yield, never a request body (design.md rule 7). */
#ifndef POLICY_IDENTITY_H
#define POLICY_IDENTITY_H

#include "base/span.h"

struct identity {
	struct span principal;
	struct span agent;
	struct span environment;
};

#endif
