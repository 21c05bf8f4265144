/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Places at the board for agents: held requests and their streams. Worker's thread. */
#ifndef GATEWAY_WAIT_PLACE_H
#define GATEWAY_WAIT_PLACE_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/board.h"

struct worker;

/* Within the limits of the current snapshot; as board_join. */
MUSTCHECK enum err wait_place_take(struct worker *worker, struct span approval_id,
	struct span principal, board_heard_fn heard, void *arg, struct board_waiter **out);

#endif
