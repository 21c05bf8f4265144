/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The waiters by approval and their number by owner, under one lock that is held for a few pointers at a time. Must never
 * call a waiter on another thread than its loop's, nor after it has left.
 */
#include "pipeline/board.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

#define BOARD_MAGIC 0xb0a2d000u
#define WAITER_MAGIC 0xb0a2d001u
#define OWNER_BYTES 16
/* Of each map; the limits are what counts. */
#define ENTRIES_MAX (1024 * 1024)

/* Those who wait for the same. */
struct topic {
	struct board_waiter *first;
	char approval_id[BOARD_ID_MAX]; /* empty: all */
};

struct owner {
	uint8_t key[OWNER_BYTES];
	size_t n;
};

struct board {
	unsigned magic;
	pthread_mutex_t lock; /* guards all below, and what says so in the waiters */
	struct map *topics;   /* approval id -> struct topic */
	struct map *owners;   /* key -> struct owner */
	struct topic everything;
	size_t n[BOARD__ROOMS];
};

struct board_waiter {
	unsigned magic;
	struct board *board;
	struct board_waiter *prev; /* of its topic; lock */
	struct board_waiter *next; /* lock */
	struct topic *topic;
	struct owner *owner;
	enum board_room room;
	struct loop *loop;
	board_heard_fn heard;
	void *arg;
	struct loop_msg msg;
	bool is_posted; /* lock */
	bool is_busy;   /* heard runs; loop's thread, as has_left */
	bool has_left;
	struct board_news news[BOARD_NEWS_MAX]; /* oldest first, n_news; lock */
	size_t n_news;
};

enum err
board_new(struct board **out, struct errinfo *ei)
{
	struct board *b = mem_zalloc(1, sizeof(*b));

	*out = NULL;
	if (b == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	b->magic = BOARD_MAGIC;
	MUST(pthread_mutex_init(&b->lock, NULL) == 0);
	b->topics = map_new(ENTRIES_MAX);
	b->owners = map_new(ENTRIES_MAX);
	if (b->topics == NULL || b->owners == NULL) {
		board_free(&b);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	*out = b;
	return OK;
}

void
board_free(struct board **b)
{
	struct board *old = *b;

	if (old == NULL)
		return;
	OBJ_CHECK(old, BOARD_MAGIC);
	*b = NULL;
	for (size_t i = 0; i < BOARD__ROOMS; i++)
		MUST(old->n[i] == 0);
	map_free(&old->topics, NULL);
	map_free(&old->owners, NULL);
	pthread_mutex_destroy(&old->lock);
	old->magic = 0;
	mem_free(old);
}

/* An owner has a number of its own in each room. */
static void
hash_owner(const struct board_wish *wish, uint8_t key[OWNER_BYTES])
{
	char room = (char)wish->room;
	struct span parts[] = {span_of(&room, 1), wish->owner};
	uint8_t hash[SHA256_BYTES];

	hash_sha256_parts(parts, ARRAY_LEN(parts), hash);
	memcpy(key, hash, OWNER_BYTES);
}

static struct span
owner_key(const struct owner *o)
{
	return span_of((const char *)o->key, OWNER_BYTES);
}

/* With the lock. Makes the entry when there is none; NULL when memory is out. */
static struct owner *
need_owner(struct board *b, const uint8_t key[OWNER_BYTES])
{
	struct owner *o = map_find(b->owners, span_of((const char *)key, OWNER_BYTES));

	if (o != NULL)
		return o;
	o = mem_zalloc(1, sizeof(*o));
	if (o == NULL)
		return NULL;
	memcpy(o->key, key, OWNER_BYTES);
	if (map_put(b->owners, owner_key(o), o, NULL))
		return o;
	mem_free(o);
	return NULL;
}

static void
drop_owner_if_idle(struct board *b, struct owner *o)
{
	if (o->n > 0)
		return;
	(void)map_take(b->owners, owner_key(o));
	mem_free(o);
}

static struct topic *
need_topic(struct board *b, struct span approval_id)
{
	struct topic *t;

	if (approval_id.n == 0)
		return &b->everything;
	t = map_find(b->topics, approval_id);
	if (t != NULL)
		return t;
	t = mem_zalloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	memcpy(t->approval_id, approval_id.p, approval_id.n);
	if (map_put(b->topics, span_cstr(t->approval_id), t, NULL))
		return t;
	mem_free(t);
	return NULL;
}

static void
drop_topic_if_idle(struct board *b, struct topic *t)
{
	if (t == &b->everything || t->first != NULL)
		return;
	(void)map_take(b->topics, span_cstr(t->approval_id));
	mem_free(t);
}

/* With the lock. */
static enum err
take_place(struct board *b, struct board_waiter *w, const struct board_wish *wish,
	const uint8_t key[OWNER_BYTES], struct errinfo *ei)
{
	struct owner *o;

	if (b->n[wish->room] >= wish->max)
		return ERR(ei, ERR_OVERLOAD, "no place is left to wait");
	o = need_owner(b, key);
	if (o == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (o->n >= wish->max_per_owner) {
		drop_owner_if_idle(b, o);
		return ERR(ei, ERR_RATE, "too many requests of this identity wait already");
	}
	w->topic = need_topic(b, wish->approval_id);
	if (w->topic == NULL) {
		drop_owner_if_idle(b, o);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	w->owner = o;
	o->n++;
	b->n[wish->room]++;
	w->next = w->topic->first;
	if (w->next != NULL)
		w->next->prev = w;
	w->topic->first = w;
	return OK;
}

/* Takes what has come, as long as the lock is held. */
static size_t
take_news(struct board_waiter *w, struct board_news out[BOARD_NEWS_MAX])
{
	size_t n;

	pthread_mutex_lock(&w->board->lock);
	w->is_posted = false;
	n = w->n_news;
	w->n_news = 0;
	memcpy(out, w->news, n * sizeof(out[0]));
	pthread_mutex_unlock(&w->board->lock);
	return n;
}

static void
free_waiter(struct board_waiter *w)
{
	w->magic = 0;
	mem_free(w);
}

static void
on_news(struct loop_msg *msg)
{
	void *at = (char *)msg - offsetof(struct board_waiter, msg);
	struct board_news news[BOARD_NEWS_MAX];
	struct board_waiter *w;

	OBJ_CAST(w, at, WAITER_MAGIC);
	size_t n = take_news(w, news);
	w->is_busy = true;
	for (size_t i = 0; i < n && !w->has_left; i++)
		w->heard(&news[i], w->arg);
	w->is_busy = false;
	/* Of one that has left nobody else writes. Posted again meanwhile: the next run frees it. */
	if (w->has_left && !w->is_posted)
		free_waiter(w);
}

enum err
board_join(struct board *b, const struct board_wish *wish, struct board_waiter **out,
	struct errinfo *ei)
{
	uint8_t key[OWNER_BYTES];
	struct board_waiter *w;
	enum err rc;

	*out = NULL;
	OBJ_CHECK(b, BOARD_MAGIC);
	MUST(wish->room < BOARD__ROOMS);
	if (wish->approval_id.n >= BOARD_ID_MAX)
		return ERR(ei, ERR_INVALID, "the approval id is too long");
	w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	w->magic = WAITER_MAGIC;
	w->board = b;
	w->room = wish->room;
	w->loop = wish->loop;
	w->heard = wish->heard;
	w->arg = wish->arg;
	w->msg.run = on_news;
	hash_owner(wish, key);
	pthread_mutex_lock(&b->lock);
	rc = take_place(b, w, wish, key, ei);
	pthread_mutex_unlock(&b->lock);
	if (rc != OK)
		free_waiter(w);
	else
		*out = w;
	return rc;
}

void
board_leave(struct board_waiter **w)
{
	struct board_waiter *old = *w;
	struct board *b;
	bool is_posted;

	if (old == NULL)
		return;
	OBJ_CHECK(old, WAITER_MAGIC);
	*w = NULL;
	b = old->board;
	pthread_mutex_lock(&b->lock);
	if (old->next != NULL)
		old->next->prev = old->prev;
	if (old->prev != NULL)
		old->prev->next = old->next;
	else
		old->topic->first = old->next;
	drop_topic_if_idle(b, old->topic);
	old->owner->n--;
	drop_owner_if_idle(b, old->owner);
	b->n[old->room]--;
	is_posted = old->is_posted;
	pthread_mutex_unlock(&b->lock);
	old->has_left = true;
	if (!is_posted && !old->is_busy)
		free_waiter(old);
}

/* With the lock. */
static void
tell(struct board_waiter *w, const struct board_news *news)
{
	bool is_full = w->n_news == BOARD_NEWS_MAX;

	if (is_full) {
		w->n_news--;
		memmove(w->news, w->news + 1, w->n_news * sizeof(w->news[0]));
		w->news[0].has_missed = true;
	}
	w->news[w->n_news] = *news;
	w->n_news++;
	if (w->is_posted)
		return;
	w->is_posted = true;
	loop_post(w->loop, &w->msg);
}

/* loop NULL: those of every loop. */
static void
tell_all(const struct topic *t, const struct loop *loop, const struct board_news *news)
{
	if (t == NULL)
		return;
	for (struct board_waiter *w = t->first; w != NULL; w = w->next)
		if (loop == NULL || w->loop == loop)
			tell(w, news);
}

static const struct board_news renewed = {.status = BOARD_RENEWED};

static bool
renew_topic(struct span key, void *topic, void *loop)
{
	(void)key;
	tell_all(topic, loop, &renewed);
	return true;
}

void
board_renew(struct board *b, struct loop *loop)
{
	OBJ_CHECK(b, BOARD_MAGIC);
	pthread_mutex_lock(&b->lock);
	map_each(b->topics, renew_topic, loop);
	tell_all(&b->everything, loop, &renewed);
	pthread_mutex_unlock(&b->lock);
}

void
board_publish(struct board *b, struct span approval_id, const char *status)
{
	struct board_news news = {.status = status};

	OBJ_CHECK(b, BOARD_MAGIC);
	MUST(approval_id.n > 0 && approval_id.n < BOARD_ID_MAX);
	memcpy(news.approval_id, approval_id.p, approval_id.n);
	pthread_mutex_lock(&b->lock);
	tell_all(map_find(b->topics, approval_id), NULL, &news);
	tell_all(&b->everything, NULL, &news);
	pthread_mutex_unlock(&b->lock);
}

size_t
board_count(struct board *b, enum board_room room)
{
	size_t n;

	OBJ_CHECK(b, BOARD_MAGIC);
	pthread_mutex_lock(&b->lock);
	n = b->n[room];
	pthread_mutex_unlock(&b->lock);
	return n;
}
