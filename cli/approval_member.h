/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* An action's text with context.extensions.approval in it: the retry that names an approval (nomos-http.md 5.7). Pure; one thread. */
#ifndef CLI_APPROVAL_MEMBER_H
#define CLI_APPROVAL_MEMBER_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct buf;

/* Appends the text of the action with the member put in; all other bytes stay. ERR_PARSE; ERR_INVALID when context is no object, or
 * names an approval already; ERR_NOMEM. */
MUSTCHECK enum err approval_member_add(struct span action, struct span approval_id, struct arena *a,
	struct buf *out, struct errinfo *ei);

#endif
