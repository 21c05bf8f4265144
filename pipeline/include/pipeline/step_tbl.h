/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * X(ID, name, allowed next steps): the life of one governed action (design.md 2, decisions 1). The enum, the names in
 * logs, the function table and the check of each transition come from these rows. Includers define X.
 */
#include <stddef.h>

#ifdef X
#define STEP_BIT(id) (1u << (id))
X(STEP_AUTHENTICATE, "authenticate", STEP_BIT(STEP_ADMIT) | STEP_BIT(STEP_RESPOND))
X(STEP_ADMIT, "admit", STEP_BIT(STEP_PARSE) | STEP_BIT(STEP_REPORT) | STEP_BIT(STEP_RESPOND))
X(STEP_PARSE, "parse", STEP_BIT(STEP_NORMALIZE) | STEP_BIT(STEP_RESPOND))
X(STEP_NORMALIZE, "normalize",
	STEP_BIT(STEP_LIMIT) | STEP_BIT(STEP_COMMIT) | STEP_BIT(STEP_RESPOND))
X(STEP_LIMIT, "limit", STEP_BIT(STEP_DECIDE) | STEP_BIT(STEP_COMMIT) | STEP_BIT(STEP_RESPOND))
X(STEP_DECIDE, "decide", STEP_BIT(STEP_COMMIT) | STEP_BIT(STEP_RESPOND))
X(STEP_COMMIT, "commit", STEP_BIT(STEP_EFFECT) | STEP_BIT(STEP_RESPOND))
X(STEP_EFFECT, "effect", STEP_BIT(STEP_SETTLE) | STEP_BIT(STEP_RESPOND))
X(STEP_SETTLE, "settle", STEP_BIT(STEP_RESPOND))
X(STEP_REPORT, "report", STEP_BIT(STEP_RESPOND))
X(STEP_RESPOND, "respond", 0)
#undef STEP_BIT
#endif
