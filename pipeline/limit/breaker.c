/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The breakers: a bounded map under one mutex that healthy traffic never takes, because an identity without faults has no
 * entry and the count of entries is read first. Any thread.
 */
#include "limit/breaker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

enum { BREAKERS_MAX = 65536 };

enum breaker_state { STATE_CLOSED = 0, STATE_OPEN, STATE_PROBING };

struct breaker {
	enum breaker_state state;
	int64_t failures;
	int64_t open_until_ns;
};

struct breakers {
	pthread_mutex_t lock; /* guards entries and what they point to */
	struct map *entries;
	atomic_size_t n_entries;
};

struct breakers *
breakers_new(void)
{
	struct breakers *b = mem_zalloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->entries = map_new(BREAKERS_MAX);
	if (b->entries == NULL) {
		mem_free(b);
		return NULL;
	}
	MUST(pthread_mutex_init(&b->lock, NULL) == 0);
	return b;
}

void
breakers_free(struct breakers **b)
{
	if (*b == NULL)
		return;
	map_free(&(*b)->entries, mem_free);
	pthread_mutex_destroy(&(*b)->lock);
	mem_free(*b);
	*b = NULL;
}

static enum breaker_pass
try_enter(struct breaker *e, int64_t now_ns, int64_t *wait_ns)
{
	switch (e->state) {
	case STATE_CLOSED:
		return BREAKER_CLOSED;
	case STATE_OPEN:
		if (now_ns < e->open_until_ns) {
			*wait_ns = e->open_until_ns - now_ns;
			return BREAKER_REFUSED;
		}
		e->state = STATE_PROBING;
		return BREAKER_PROBE;
	case STATE_PROBING:
		return BREAKER_REFUSED;
	}
	return BREAKER_REFUSED;
}

enum breaker_pass
breakers_enter(struct breakers *b, struct span identity, int64_t *wait_ns)
{
	enum breaker_pass pass = BREAKER_CLOSED;
	struct breaker *e;

	*wait_ns = 0;
	if (atomic_load(&b->n_entries) == 0)
		return BREAKER_CLOSED;
	MUST(pthread_mutex_lock(&b->lock) == 0);
	e = map_find(b->entries, identity);
	if (e != NULL)
		pass = try_enter(e, clock_mono_ns(), wait_ns);
	MUST(pthread_mutex_unlock(&b->lock) == 0);
	return pass;
}

struct oldest {
	struct span key;
	int64_t open_until_ns;
};

/* Closed ones have failed less than the limit; the open ones that were to be tried first go next. */
static bool
find_oldest(struct span key, void *value, void *arg)
{
	const struct breaker *e = value;
	struct oldest *oldest = arg;

	if (e->state != STATE_PROBING &&
		(oldest->key.p == NULL || e->open_until_ns < oldest->open_until_ns))
		*oldest = (struct oldest){key, e->open_until_ns};
	return true;
}

static void
drop(struct breakers *b, struct span identity)
{
	mem_free(map_take(b->entries, identity));
	atomic_store(&b->n_entries, map_count(b->entries));
}

/* NULL only when memory is out; the fault is not counted then. */
static struct breaker *
need_entry(struct breakers *b, struct span identity)
{
	struct breaker *e = map_find(b->entries, identity);
	struct oldest oldest = {SPAN_NONE, 0};

	if (e != NULL)
		return e;
	if (map_count(b->entries) == BREAKERS_MAX) {
		map_each(b->entries, find_oldest, &oldest);
		if (oldest.key.p != NULL)
			drop(b, oldest.key);
	}
	e = mem_zalloc(1, sizeof(*e));
	if (e == NULL)
		return NULL;
	if (!map_put(b->entries, identity, e, NULL)) {
		mem_free(e);
		return NULL;
	}
	atomic_store(&b->n_entries, map_count(b->entries));
	return e;
}

static void
count_fault(struct breakers *b, struct span identity, enum breaker_pass pass,
	const struct breaker_limits *limits)
{
	struct breaker *e = need_entry(b, identity);

	if (e == NULL)
		return;
	/* What was let in before the circuit opened and fails late does not prolong it. */
	if (e->state != STATE_CLOSED && pass != BREAKER_PROBE)
		return;
	e->failures++;
	if (pass != BREAKER_PROBE && e->failures < limits->failures)
		return;
	e->state = STATE_OPEN;
	e->failures = 0;
	e->open_until_ns = clock_mono_ns() + limits->cooldown_ns;
}

static void
settle(struct breakers *b, struct span identity, enum breaker_pass pass,
	enum breaker_outcome outcome, const struct breaker_limits *limits)
{
	struct breaker *e = map_find(b->entries, identity);

	switch (outcome) {
	case BREAKER_FAULT:
		count_fault(b, identity, pass, limits);
		break;
	case BREAKER_SUCCESS:
		if (e != NULL && (e->state == STATE_CLOSED || pass == BREAKER_PROBE))
			drop(b, identity);
		break;
	case BREAKER_NEUTRAL:
		/* The probe told nothing: the next one may try at once. */
		if (e != NULL && pass == BREAKER_PROBE)
			e->state = STATE_OPEN;
		break;
	}
}

void
breakers_leave(struct breakers *b, struct span identity, enum breaker_pass pass,
	enum breaker_outcome outcome, const struct breaker_limits *limits)
{
	MUST(pass != BREAKER_REFUSED);
	if (outcome != BREAKER_FAULT && atomic_load(&b->n_entries) == 0)
		return;
	MUST(pthread_mutex_lock(&b->lock) == 0);
	settle(b, identity, pass, outcome, limits);
	MUST(pthread_mutex_unlock(&b->lock) == 0);
}

struct breaker_visit {
	bool (*visit)(struct span identity, const struct breaker_view *view, void *arg);
	void *arg;
	int64_t now_ns;
};

static bool
show(struct span key, void *value, void *arg)
{
	static const char *const names[] = {
		[STATE_CLOSED] = "closed", [STATE_OPEN] = "open", [STATE_PROBING] = "probing"};
	const struct breaker *e = value;
	const struct breaker_visit *v = arg;
	struct breaker_view view = {.state = names[e->state], .failures = e->failures};

	if (e->state == STATE_OPEN && e->open_until_ns > v->now_ns)
		view.open_for_ns = e->open_until_ns - v->now_ns;
	return v->visit(key, &view, v->arg);
}

void
breakers_each(struct breakers *b,
	bool (*visit)(struct span identity, const struct breaker_view *view, void *arg), void *arg)
{
	struct breaker_visit v = {visit, arg, clock_mono_ns()};

	MUST(pthread_mutex_lock(&b->lock) == 0);
	map_each(b->entries, show, &v);
	MUST(pthread_mutex_unlock(&b->lock) == 0);
}
