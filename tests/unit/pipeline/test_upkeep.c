/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Upkeep on a real ledger: what has expired goes, what nobody reported is closed in portions, on record. */
#include "upkeep.h"

#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "audit/ledger_options.h"
#include "audit/store.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "base/redact.h"
#include "claims.h"
#include "support/test.h"

struct job {
	struct ledger_entry e; /* first */
	enum err (*run)(struct ledger_tx *tx, struct job *j, struct errinfo *ei);
	struct record_text text;
	struct arena *arena;
	int64_t now_wall_ns;
	int64_t before_wall_ns;
	uint64_t open_seq;
	bool is_more;
	sem_t done;
};

static enum err
job_apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct job *j = (struct job *)(void *)e;

	return j->run(tx, j, ei);
}

static void
job_done(struct ledger_entry *e)
{
	sem_post(&((struct job *)(void *)e)->done);
}

static void
run(struct ledger *l, struct job *j,
	enum err (*fn)(struct ledger_tx *tx, struct job *j, struct errinfo *ei))
{
	struct errinfo ei;

	j->run = fn;
	j->e = (struct ledger_entry){.apply = job_apply, .done = job_done};
	sem_init(&j->done, 0, 0);
	MUST(ledger_submit(l, &j->e, &ei) == OK);
	while (sem_wait(&j->done) != 0)
		;
	CHECK_INT(j->e.result, OK);
}

/* Decisions that may be reported, and keys that expire at 1000. */
static enum err
fill(struct ledger_tx *tx, struct job *j, struct errinfo *ei)
{
	uint64_t seq = 0;
	enum err rc = OK;

	for (int i = 0; rc == OK && i < UPKEEP_CLOSE_MAX + 3; i++)
		rc = ledger_tx_append(tx, &j->text, LEDGER_AUTHORIZED, &seq, ei);
	for (int i = 0; rc == OK && i < UPKEEP_PURGE_MAX + 3; i++) {
		struct ledger_claim c = {.kind = CLAIM_IDEMPOTENCY, .expires_wall_ns = 1000};
		memcpy(c.key, &i, sizeof(i));
		rc = ledger_tx_put_claim(tx, &c, ei);
	}
	/* One whose action still runs. */
	if (rc == OK)
		rc = ledger_tx_append(tx, &j->text, LEDGER_OPEN, &j->open_seq, ei);
	struct ledger_claim running = {.kind = CLAIM_IDEMPOTENCY,
		.seq = j->open_seq,
		.state = 1,
		.key = {0xff, 0xff, 0xff, 0xff},
		.expires_wall_ns = 1000};
	if (rc == OK)
		rc = ledger_tx_put_claim(tx, &running, ei);
	struct ledger_claim approval = {.kind = CLAIM_APPROVAL, .expires_wall_ns = 1000};
	return rc == OK ? ledger_tx_put_claim(tx, &approval, ei) : rc;
}

static enum err
keep_up(struct ledger_tx *tx, struct job *j, struct errinfo *ei)
{
	return upkeep_apply(tx, j->now_wall_ns, j->before_wall_ns, j->arena, &j->is_more, ei);
}

static enum err
end_running(struct ledger_tx *tx, struct job *j, struct errinfo *ei)
{
	return ledger_tx_close(tx, j->open_seq, ei);
}

struct counts {
	size_t n_keys;
	size_t n_approvals;
	size_t n_open;
};

static struct counts counts;

static bool
count_row(const struct store_row *row, void *arg)
{
	(void)row;
	(*(size_t *)arg)++;
	return true;
}

static enum err
count(struct ledger_tx *tx, struct job *j, struct errinfo *ei)
{
	enum err rc = ledger_tx_count_claims(
		tx, CLAIM_IDEMPOTENCY, LEDGER_ANY_STATE, NULL, 10000, &counts.n_keys, ei);

	(void)j;
	counts.n_open = 0;
	if (rc == OK)
		rc = ledger_tx_count_claims(
			tx, CLAIM_APPROVAL, LEDGER_ANY_STATE, NULL, 10000, &counts.n_approvals, ei);
	return rc == OK ? ledger_tx_each_of_state(
				  tx, LEDGER_AUTHORIZED, count_row, &counts.n_open, ei)
			: rc;
}

static bool
keep_last(const struct store_row *row, void *arg)
{
	snprintf(arg, 4096, "%.*s", SPAN_ARG(row->body));
	return true;
}

TEST(what_is_due_goes_in_portions_and_is_told)
{
	struct ledger_options o;
	struct ledger *l = NULL;
	struct job j = {.arena = arena_new((size_t)1024 * 1024)};
	struct arena *a = arena_new((size_t)1024 * 1024);
	struct store_reader *reader = NULL;
	struct chain_head head;
	char path[256];
	char last[4096] = "";
	struct errinfo ei;

	MUST(hash_init(NULL) == OK);
	snprintf(path, sizeof(path), "%s/ledger.db", test_tmpdir());
	ledger_options_init(&o);
	o.path = path;
	MUST(ledger_open(&o, &l, &ei) == OK && ledger_start(l, &ei) == OK);
	struct record *r = record_new(a, "action.decision");
	record_set_text(r, RECORD_RESULT_CLASSIFICATION, SPAN_LIT("SUCCESS"));
	MUST(record_render(r, redactor_default(), a, &j.text, &ei) == OK);
	int64_t before = clock_wall_ns();
	run(l, &j, fill);

	/* Nothing is due yet. */
	j.now_wall_ns = 999;
	j.before_wall_ns = before;
	run(l, &j, keep_up);
	CHECK(!j.is_more && j.e.seq == 0);
	run(l, &j, count);
	CHECK_INT(counts.n_keys, UPKEEP_PURGE_MAX + 4);
	CHECK_INT(counts.n_open, UPKEEP_CLOSE_MAX + 3);

	j.now_wall_ns = 1000;
	j.before_wall_ns = clock_wall_ns() + NS_PER_SEC;
	run(l, &j, keep_up);
	CHECK(j.is_more && j.e.seq != 0);
	run(l, &j, count);
	CHECK_INT(counts.n_keys, 4);
	CHECK_INT(counts.n_open, 3);
	run(l, &j, keep_up);
	CHECK(!j.is_more);
	run(l, &j, count);
	CHECK_INT(counts.n_keys, 1);
	CHECK_INT(counts.n_open, 0);
	/* Its expiry is to be recorded: nobody removes it unseen. */
	CHECK_INT(counts.n_approvals, 1);

	CHECK_INT(store_reader_open(path, STORE_READ_LIVE, &reader, &ei), OK);
	CHECK_INT(store_reader_head(reader, &head, &ei), OK);
	CHECK_INT(store_reader_page(reader, head.seq - 1, 1, keep_last, last, NULL, &ei), OK);
	store_reader_free(&reader);
	CHECK(strstr(last, "\"event_type\":\"action.unreported\"") != NULL);
	CHECK(strstr(last, "\"count\":3") != NULL);
	/* The key of what runs is not free before that has ended. */
	j.now_wall_ns += 60 * NS_PER_SEC;
	run(l, &j, keep_up);
	run(l, &j, count);
	CHECK_INT(counts.n_keys, 1);
	run(l, &j, end_running);
	j.now_wall_ns += 60 * NS_PER_SEC;
	run(l, &j, keep_up);
	run(l, &j, count);
	CHECK_INT(counts.n_keys, 0);
	ledger_close(&l);
	arena_free(&j.arena);
	arena_free(&a);
}

SUITE("upkeep", TEST_ROW(what_is_due_goes_in_portions_and_is_told))
