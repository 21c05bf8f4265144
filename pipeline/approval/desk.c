/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The desk's own state. */
#include "approval/desk.h"

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/rand.h"

#define DESK_ARENA_BYTES ((size_t)64 * 1024 * 1024)

enum err
approval_desk_init(struct approval_desk *d, struct errinfo *ei)
{
	uint64_t epoch;
	enum err rc = rand_bytes(&epoch, sizeof(epoch), ei);

	d->epoch = (int64_t)(epoch >> 1);
	atomic_init(&d->due_wall_ns, 0);
	atomic_init(&d->has_outdated, true);
	atomic_init(&d->has_newer_outdated, false);
	atomic_init(&d->in_force, NULL);
	d->arena = rc == OK ? arena_new(DESK_ARENA_BYTES) : NULL;
	if (rc == OK && d->arena == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return rc;
}

void
approval_desk_fini(struct approval_desk *d)
{
	arena_free(&d->arena);
}

struct approval_moment
approval_desk_now(const struct approval_desk *d)
{
	return (struct approval_moment){clock_wall_ns(), clock_mono_ns(), d->epoch};
}

enum err
approval_desk_judge(const struct approval_desk *d, enum err rc)
{
	return rc == ERR_TOO_LARGE && arena_failed(d->arena) ? ERR_NOMEM : rc;
}

void
approval_desk_remind(struct approval_desk *d, int64_t wall_ns)
{
	int64_t due = atomic_load(&d->due_wall_ns);

	while (wall_ns < due && !atomic_compare_exchange_weak(&d->due_wall_ns, &due, wall_ns))
		;
}

/* A request that began before a reload asks under the older one. */
void
approval_desk_note_policy(struct approval_desk *d, const char *policy_hash)
{
	if (strcmp(policy_hash, d->swept_hash) == 0)
		return;
	atomic_store(&d->has_newer_outdated, true);
	atomic_store(&d->has_outdated, true);
}

bool
approval_desk_is_in_force(const struct approval_desk *d, const struct snapshot *s)
{
	const struct snapshot *in_force = atomic_load(&d->in_force);

	return in_force == NULL || in_force == s;
}
