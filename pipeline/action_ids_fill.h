/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Fills the table of action ids from the newest records (action_ids_fill.c). */
#ifndef PIPELINE_ACTION_IDS_FILL_H
#define PIPELINE_ACTION_IDS_FILL_H

#include <stddef.h>

struct action_ids;
struct loop;
struct pipeline;

/* Once, on the loop that has the chores; p->is_filling while it works. */
void action_ids_fill(struct pipeline *p, size_t n_max, struct loop *loop);

/* commit.c: the table, made at its first use; NULL when there is none. Ledger's thread. */
struct action_ids *pipeline_need_action_ids(struct pipeline *p, size_t n_max);

#endif
