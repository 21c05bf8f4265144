/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The board: who hears what, leaving at any moment, places, and news given by many threads while waiters come and go. */
#include "pipeline/board.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/loop.h"
#include "base/mem.h"
#include "support/test.h"

#define ID "apr_0123456789abcdef01234567"
#define OTHER "apr_ffffffffffffffffffffffff"

struct limits {
	size_t max[BOARD__ROOMS];
	size_t max_per_owner[BOARD__ROOMS];
};

static const struct limits wide = {
	.max = {1000, 1000},
	.max_per_owner = {1000, 1000},
};

static const struct limits *limits;
static struct board *board;
static struct loop *loop;

static void
start(const struct limits *l)
{
	struct errinfo ei = {0};

	limits = l;
	if (board_new(&board, &ei) != OK || loop_new(&loop, &ei) != OK)
		FAIL("%s", ei.msg);
}

static void
stop(void)
{
	loop_free(&loop);
	board_free(&board);
	CHECK(board == NULL);
}

struct ear {
	struct board_waiter *waiter;
	int n;
	int n_missed;
	char last[BOARD_ID_MAX];
	const char *status;
	bool leaves;    /* when it hears the first */
	bool publishes; /* more, from within */
};

static void
hear(const struct board_news *news, void *arg)
{
	struct ear *e = arg;

	e->n++;
	e->n_missed += news->has_missed;
	memcpy(e->last, news->approval_id, sizeof(e->last));
	e->status = news->status;
	if (e->publishes)
		board_publish(board, SPAN_LIT(ID), "again");
	if (e->leaves)
		board_leave(&e->waiter);
}

static enum err
join(struct ear *e, const char *id, const char *owner, enum board_room room)
{
	struct board_wish wish = {
		.approval_id = span_cstr(id),
		.owner = span_cstr(owner),
		.room = room,
		.max = limits->max[room],
		.max_per_owner = limits->max_per_owner[room],
		.loop = loop,
		.heard = hear,
		.arg = e,
	};

	return board_join(board, &wish, &e->waiter, NULL);
}

TEST(those_who_wait_for_it_hear_it_and_no_others)
{
	struct ear a = {0};
	struct ear b = {0};
	struct ear other = {0};
	struct ear all = {0};
	long before = mem_live();

	start(&wide);
	CHECK_INT(join(&a, ID, "alice", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&b, ID, "bob", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&other, OTHER, "bob", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&all, "", "carol", BOARD_ROOM_PAGES), OK);
	board_publish(board, SPAN_LIT(ID), "approved");
	board_publish(board, SPAN_LIT("apr_that nobody waits for"), "denied");
	CHECK_INT(a.n, 0); /* on the loop, never inside */
	loop_turn(loop, false);
	CHECK_INT(a.n, 1);
	CHECK_STR(a.last, ID);
	CHECK_STR(a.status, "approved");
	CHECK_INT(b.n, 1);
	CHECK_INT(other.n, 0);
	CHECK_INT(all.n, 2);
	CHECK_STR(all.status, "denied");
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 3);
	CHECK_INT(board_count(board, BOARD_ROOM_PAGES), 1);
	board_leave(&a.waiter);
	CHECK(a.waiter == NULL);
	board_leave(&a.waiter);
	board_publish(board, SPAN_LIT(ID), "consumed");
	loop_turn(loop, false);
	CHECK_INT(a.n, 1);
	CHECK_STR(b.status, "consumed");
	board_leave(&b.waiter);
	board_leave(&other.waiter);
	board_leave(&all.waiter);
	stop();
	CHECK_INT(mem_live(), before);
}

TEST(a_new_policy_is_told_to_all_of_its_loop_and_to_no_others)
{
	struct ear one = {0};
	struct ear other = {0};
	struct ear page = {0};
	struct ear away = {0};
	struct loop *here;
	struct loop *there = NULL;

	start(&wide);
	here = loop;
	CHECK_INT(join(&one, ID, "alice", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&other, OTHER, "bob", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&page, "", "carol", BOARD_ROOM_PAGES), OK);
	CHECK_INT(loop_new(&there, NULL), OK);
	loop = there;
	CHECK_INT(join(&away, ID, "alice", BOARD_ROOM_WAITS), OK);
	loop = here;
	board_renew(board, here);
	loop_turn(here, false);
	loop_turn(there, false);
	CHECK_INT(one.n, 1);
	CHECK_STR(one.status, BOARD_RENEWED);
	CHECK_STR(one.last, "");
	CHECK_INT(other.n, 1);
	CHECK_INT(page.n, 1);
	CHECK_INT(away.n, 0);
	board_leave(&one.waiter);
	board_leave(&other.waiter);
	board_leave(&page.waiter);
	board_leave(&away.waiter);
	loop_free(&there);
	stop();
}

TEST(who_has_left_hears_nothing_though_it_was_on_its_way)
{
	struct ear gone = {0};
	struct ear leaving = {.leaves = true, .publishes = true};
	long before = mem_live();

	start(&wide);
	CHECK_INT(join(&gone, ID, "alice", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&leaving, ID, "alice", BOARD_ROOM_WAITS), OK);
	board_publish(board, SPAN_LIT(ID), "approved");
	board_publish(board, SPAN_LIT(ID), "consumed");
	board_leave(&gone.waiter);
	loop_turn(loop, false);
	loop_turn(loop, false);
	CHECK_INT(gone.n, 0);
	/* The second was at hand, a third given from within. */
	CHECK_INT(leaving.n, 1);
	CHECK(leaving.waiter == NULL);
	stop();
	CHECK_INT(mem_live(), before);
}

TEST(news_given_from_within_is_heard_later)
{
	struct ear e = {.publishes = true};

	start(&wide);
	CHECK_INT(join(&e, ID, "alice", BOARD_ROOM_WAITS), OK);
	board_publish(board, SPAN_LIT(ID), "approved");
	loop_turn(loop, false);
	CHECK_INT(e.n, 1);
	loop_turn(loop, false);
	CHECK_INT(e.n, 2);
	CHECK_STR(e.status, "again");
	board_leave(&e.waiter);
	stop();
}

TEST(a_busy_loop_keeps_the_newest_and_knows_that_some_are_missing)
{
	struct ear e = {0};

	start(&wide);
	CHECK_INT(join(&e, "", "alice", BOARD_ROOM_PAGES), OK);
	for (int i = 0; i < BOARD_NEWS_MAX + 3; i++)
		board_publish(board, SPAN_LIT(ID), i < BOARD_NEWS_MAX ? "old" : "new");
	loop_turn(loop, false);
	CHECK_INT(e.n, BOARD_NEWS_MAX);
	CHECK_INT(e.n_missed, 1);
	CHECK_STR(e.status, "new");
	board_publish(board, SPAN_LIT(ID), "newer");
	loop_turn(loop, false);
	CHECK_INT(e.n, BOARD_NEWS_MAX + 1);
	CHECK_INT(e.n_missed, 1);
	board_leave(&e.waiter);
	stop();
}

TEST(places_are_bounded_for_each_owner_and_in_all_and_given_back)
{
	static const struct limits narrow = {.max = {3, 1}, .max_per_owner = {2, 1}};
	struct ear e[5] = {{0}};
	long before = mem_live();

	start(&narrow);
	CHECK_INT(join(&e[0], ID, "alice", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&e[1], OTHER, "alice", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&e[2], ID, "alice", BOARD_ROOM_WAITS), ERR_RATE);
	CHECK(e[2].waiter == NULL);
	CHECK_INT(join(&e[2], ID, "bob", BOARD_ROOM_WAITS), OK);
	CHECK_INT(join(&e[3], ID, "carol", BOARD_ROOM_WAITS), ERR_OVERLOAD);
	/* The other room has its own. */
	CHECK_INT(join(&e[3], "", "alice", BOARD_ROOM_PAGES), OK);
	CHECK_INT(join(&e[4], "", "bob", BOARD_ROOM_PAGES), ERR_OVERLOAD);
	board_leave(&e[0].waiter);
	CHECK_INT(join(&e[0], ID, "alice", BOARD_ROOM_WAITS), OK);
	limits = &wide;
	CHECK_INT(join(&e[4], "", "bob", BOARD_ROOM_PAGES), OK);
	for (size_t i = 0; i < ARRAY_LEN(e); i++)
		board_leave(&e[i].waiter);
	stop();
	CHECK_INT(mem_live(), before);
}

TEST(an_id_that_is_too_long_is_refused)
{
	char text[BOARD_ID_MAX + 1];
	struct ear e = {0};

	memset(text, 'a', sizeof(text));
	text[BOARD_ID_MAX] = '\0';
	start(&wide);
	CHECK_INT(join(&e, text, "alice", BOARD_ROOM_WAITS), ERR_INVALID);
	text[BOARD_ID_MAX - 1] = '\0';
	CHECK_INT(join(&e, text, "alice", BOARD_ROOM_WAITS), OK);
	board_publish(board, span_cstr(text), "approved");
	loop_turn(loop, false);
	CHECK_STR(e.last, text);
	board_leave(&e.waiter);
	stop();
}

TEST(without_memory_nothing_is_left_behind)
{
	struct ear e = {0};
	enum err rc = ERR_NOMEM;
	int n_failed = 0;
	long before = mem_live();

	start(&wide);
	for (unsigned long n = 1; rc != OK; n++) {
		mem_fail_at(n);
		rc = join(&e, ID, "alice", BOARD_ROOM_WAITS);
		mem_fail_at(0);
		if (rc == OK)
			break;
		n_failed++;
		CHECK_INT(rc, ERR_NOMEM);
		CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 0);
	}
	CHECK(n_failed >= 3);
	board_leave(&e.waiter);
	stop();
	CHECK_INT(mem_live(), before);
}

/* Two loops whose waiters come, hear and leave, while two threads publish. Each waiter that saw the state before the last
 * change must hear of it: it joins first and looks then. */
#define N_ROUNDS 20000

static _Atomic int state; /* 0 to N_ROUNDS, each published once it is set */

struct watcher {
	struct loop *loop;
	pthread_t thread;
	struct board_waiter *waiter;
	int seen;
	int n_joined;
};

static void watch(struct watcher *w);

static void
on_state(const struct board_news *news, void *arg)
{
	struct watcher *w = arg;

	(void)news;
	board_leave(&w->waiter);
	watch(w);
}

static void
watch(struct watcher *w)
{
	struct board_wish wish = {
		.approval_id = SPAN_LIT(ID),
		.owner = SPAN_LIT("watcher"),
		.max = 10,
		.max_per_owner = 10,
		.loop = w->loop,
		.heard = on_state,
		.arg = w,
	};

	if (board_join(board, &wish, &w->waiter, NULL) != OK)
		FAIL("no place");
	w->n_joined++;
	w->seen = atomic_load(&state);
	if (w->seen != N_ROUNDS)
		return;
	board_leave(&w->waiter);
	loop_stop(w->loop);
}

static void *
run_watcher(void *arg)
{
	struct watcher *w = arg;

	watch(w);
	loop_run(w->loop);
	return NULL;
}

static void *
change(void *arg)
{
	(void)arg;
	for (;;) {
		int old = atomic_load(&state);
		if (old == N_ROUNDS)
			return NULL;
		if (atomic_compare_exchange_strong(&state, &old, old + 1))
			board_publish(board, SPAN_LIT(ID), "changed");
	}
}

TEST(no_waiter_misses_the_last_change)
{
	struct watcher w[2] = {{0}};
	pthread_t publishers[2];

	start(&wide);
	atomic_store(&state, 0);
	for (size_t i = 0; i < 2; i++) {
		CHECK_INT(loop_new(&w[i].loop, NULL), OK);
		CHECK_INT(pthread_create(&w[i].thread, NULL, run_watcher, &w[i]), 0);
	}
	for (size_t i = 0; i < 2; i++)
		CHECK_INT(pthread_create(&publishers[i], NULL, change, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		CHECK_INT(pthread_join(publishers[i], NULL), 0);
	/* A lost wake-up would leave one waiting here for ever. */
	for (size_t i = 0; i < 2; i++) {
		CHECK_INT(pthread_join(w[i].thread, NULL), 0);
		CHECK_INT(w[i].seen, N_ROUNDS);
		CHECK(w[i].n_joined > 0);
		loop_free(&w[i].loop);
	}
	CHECK_INT(board_count(board, BOARD_ROOM_WAITS), 0);
	stop();
}

SUITE("board", TEST_ROW(those_who_wait_for_it_hear_it_and_no_others),
	TEST_ROW(a_new_policy_is_told_to_all_of_its_loop_and_to_no_others),
	TEST_ROW(who_has_left_hears_nothing_though_it_was_on_its_way),
	TEST_ROW(news_given_from_within_is_heard_later),
	TEST_ROW(a_busy_loop_keeps_the_newest_and_knows_that_some_are_missing),
	TEST_ROW(places_are_bounded_for_each_owner_and_in_all_and_given_back),
	TEST_ROW(an_id_that_is_too_long_is_refused),
	TEST_ROW(without_memory_nothing_is_left_behind), TEST_ROW(no_waiter_misses_the_last_change))
