/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Which action each action id was used for lately (decisions 25): an id that comes again for another action is refused. A table of
 * fixed size in memory, in which the oldest of its neighbours gives way; the newest records fill it after a start. What has
 * fallen out is forgotten: ids that come again by mistake come again soon. Of the ledger's thread, but where said.
 */
#ifndef PIPELINE_ACTION_IDS_H
#define PIPELINE_ACTION_IDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct action_ids;

#define ACTION_ID_BINDING 16 /* leading digits of a binding hash */

/* Of whom, and which: keyed hashes, of this process. */
struct action_id_key {
	uint64_t identity;
	uint64_t id;
};

struct action_id_use {
	struct action_id_key key;
	char binding[ACTION_ID_BINDING];
	int64_t at_wall_ns;
	_Atomic uint64_t stamp; /* 0: none */
};

/* A use that was put, to be taken back when it was not recorded. */
struct action_id_mark {
	struct action_id_use *use;
	uint64_t stamp;
};

/* n_max 0, or no memory: NULL, which all calls take as a table that knows nothing. */
struct action_ids *action_ids_new(size_t n_max);
void action_ids_free(struct action_ids **t);

/* identity: principal, agent, environment, as in struct req. Any thread. */
struct action_id_key action_id_key(struct span identity, struct span action_id);

/* Whether it was used for another binding (its first digits count) at or after since_wall_ns. */
bool action_ids_is_reused(const struct action_ids *t, const struct action_id_key *key,
	struct span binding, int64_t since_wall_ns);
/* Keeps the newest use. */
struct action_id_mark action_ids_put(struct action_ids *t, const struct action_id_key *key,
	struct span binding, int64_t at_wall_ns);
/* Any thread: as if it had never been put, unless another use has taken its place. */
void action_ids_take_back(const struct action_id_mark *mark);

#endif
