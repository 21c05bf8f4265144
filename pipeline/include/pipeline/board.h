/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for news of an approval: held requests and event streams. News is a hint, never a fact: who hears it looks
 * at the approval itself. A waiter joins first and looks then, and news is given once it is durable; so none is lost. Any
 * thread publishes; each waiter hears on the thread of its own loop.
 */
#ifndef PIPELINE_BOARD_H
#define PIPELINE_BOARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct board;
struct board_waiter;
struct loop;

/* Room for an approval's id and a NUL. */
#define BOARD_ID_MAX 48
/* So much news is kept for a waiter whose loop is busy. */
#define BOARD_NEWS_MAX 16

/* Each room has its own places, so that agents' waits never keep a person's page out. */
enum board_room {
	BOARD_ROOM_WAITS = 0, /* held requests and event streams of agents */
	BOARD_ROOM_PAGES,     /* streams of the operator page */
	BOARD__ROOMS
};

struct board_news {
	char approval_id[BOARD_ID_MAX];
	const char
		*status; /* static: "pending", "approved", ...; or BOARD_RENEWED, of no approval */
	bool has_missed; /* older news was thrown away: look at everything */
};

/* Called on the waiter's loop. It may leave the board. */
typedef void (*board_heard_fn)(const struct board_news *news, void *arg);

struct board_wish {
	struct span approval_id; /* copied; empty: all approvals */
	struct span owner;       /* who is counted; not kept */
	enum board_room room;
	size_t max;           /* waiters in the room */
	size_t max_per_owner; /* those of this owner */
	struct loop *loop;    /* outlives the waiter */
	board_heard_fn heard;
	void *arg;
};

/* ERR_NOMEM. */
MUSTCHECK enum err board_new(struct board **out, struct errinfo *ei);
/* After the last waiter has left and its loop was freed. */
void board_free(struct board **b);

/* On the loop's thread. ERR_RATE: this owner has its share; ERR_OVERLOAD: no place is left; ERR_INVALID (the id is too
 * long); ERR_NOMEM. */
MUSTCHECK enum err board_join(struct board *b, const struct board_wish *wish,
	struct board_waiter **out, struct errinfo *ei);
/* On the loop's thread: nothing is heard from then on. Accepts NULL. */
void board_leave(struct board_waiter **w);

/* The approval was opened, decided, used or has expired, and that is durable. Any thread; never blocks for long. */
void board_publish(struct board *b, struct span approval_id, const char *status);

/*
 * The policy that those on this loop are judged by is another one: each of them hears BOARD_RENEWED, with no approval's id. On the
 * loop's thread, behind the change.
 */
#define BOARD_RENEWED "policy_changed"
void board_renew(struct board *b, struct loop *loop);

/* Waiters of a room. Any thread. */
size_t board_count(struct board *b, enum board_room room);

#endif
