/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Agents wait in a room of their own, each principal with so many. */
#include "wait_place.h"

#include "pipeline/approvals.h"
#include "pipeline/pipeline.h"
#include "runtime/runtime.h"

enum err
wait_place_take(struct worker *worker, struct span approval_id, struct span principal,
	board_heard_fn heard, void *arg, struct board_waiter **out)
{
	struct approvals_wait_limits limits =
		approvals_get_wait_limits(worker_get_snapshot(worker));
	struct board_wish wish = {
		.approval_id = approval_id,
		.owner = principal,
		.room = BOARD_ROOM_WAITS,
		.max = limits.max,
		.max_per_owner = limits.max_per_principal,
		.loop = worker_get_loop(worker),
		.heard = heard,
		.arg = arg,
	};

	return board_join(pipeline_get_board(worker_get_pipeline(worker)), &wish, out, NULL);
}
