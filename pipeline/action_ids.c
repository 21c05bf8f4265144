/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The table of action ids: sets of a few uses each, so that a look is short and nothing ever grows. */
#include "action_ids.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

enum { SET_USES = 8 };

struct action_ids {
	uint64_t last_stamp;
	size_t n_sets;
	struct action_id_use uses[]; /* n_sets * SET_USES */
};

struct action_ids *
action_ids_new(size_t n_max)
{
	size_t n_sets = (n_max + SET_USES - 1) / SET_USES;
	struct action_ids *t = NULL;

	if (n_sets == 0)
		return NULL;
	t = mem_zalloc(1, sizeof(*t) + n_sets * SET_USES * sizeof(t->uses[0]));
	if (t != NULL)
		t->n_sets = n_sets;
	return t;
}

void
action_ids_free(struct action_ids **t)
{
	mem_free(*t);
	*t = NULL;
}

struct action_id_key
action_id_key(struct span identity, struct span action_id)
{
	return (struct action_id_key){map_hash(identity), map_hash(action_id)};
}

static size_t
set_of(const struct action_ids *t, const struct action_id_key *key)
{
	return (size_t)((key->identity ^ key->id) % t->n_sets) * SET_USES;
}

static bool
is_there(const struct action_id_use *use)
{
	return atomic_load_explicit(&use->stamp, memory_order_acquire) != 0;
}

static bool
is_of(const struct action_id_use *use, const struct action_id_key *key)
{
	return use->key.identity == key->identity && use->key.id == key->id;
}

bool
action_ids_is_reused(const struct action_ids *t, const struct action_id_key *key,
	struct span binding, int64_t since_wall_ns)
{
	if (t == NULL)
		return false;
	MUST(binding.n >= ACTION_ID_BINDING);
	const struct action_id_use *set = &t->uses[set_of(t, key)];
	for (size_t i = 0; i < SET_USES; i++)
		if (is_there(&set[i]) && is_of(&set[i], key) && set[i].at_wall_ns >= since_wall_ns)
			return memcmp(set[i].binding, binding.p, ACTION_ID_BINDING) != 0;
	return false;
}

/* Its own place, a free one, or that of the oldest. */
static struct action_id_use *
place_of(struct action_ids *t, const struct action_id_key *key)
{
	struct action_id_use *set = &t->uses[set_of(t, key)];
	struct action_id_use *place = &set[0];

	for (size_t i = 0; i < SET_USES; i++)
		if (is_there(&set[i]) && is_of(&set[i], key))
			return &set[i];
	for (size_t i = 0; i < SET_USES; i++) {
		if (!is_there(&set[i]))
			return &set[i];
		if (set[i].at_wall_ns < place->at_wall_ns)
			place = &set[i];
	}
	return place;
}

struct action_id_mark
action_ids_put(struct action_ids *t, const struct action_id_key *key, struct span binding,
	int64_t at_wall_ns)
{
	if (t == NULL)
		return (struct action_id_mark){NULL, 0};
	MUST(binding.n >= ACTION_ID_BINDING);
	struct action_id_use *use = place_of(t, key);
	bool is_known = is_there(use) && is_of(use, key);
	/* A use of before the start, or of a retry, changes nothing that an earlier one's owner could take back. */
	if (is_known && memcmp(use->binding, binding.p, ACTION_ID_BINDING) == 0) {
		if (at_wall_ns > use->at_wall_ns)
			use->at_wall_ns = at_wall_ns;
		return (struct action_id_mark){NULL, 0};
	}
	if (is_known && use->at_wall_ns >= at_wall_ns)
		return (struct action_id_mark){NULL, 0};
	use->key = *key;
	memcpy(use->binding, binding.p, ACTION_ID_BINDING);
	use->at_wall_ns = at_wall_ns;
	atomic_store_explicit(&use->stamp, ++t->last_stamp, memory_order_release);
	return (struct action_id_mark){use, t->last_stamp};
}

void
action_ids_take_back(const struct action_id_mark *mark)
{
	uint64_t stamp = mark->stamp;

	if (mark->use != NULL)
		(void)atomic_compare_exchange_strong(&mark->use->stamp, &stamp, 0);
}
