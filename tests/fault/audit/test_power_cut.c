/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes at each call that SQLite makes of the disk, from the first of a new ledger to the
 * last of its close, and again while the next start recovers. What was acknowledged is there, the
 * chain is whole, open intents become unknown, and what was refused holds no claim.
 */
#include <stdlib.h>
#include <unistd.h>

#include "../../unit/audit/ledger_fixture.h"
#include "audit/store.h"
#include "base/buf.h"
#include "disk_model.h"
#include "ledger_priv.h"

#define N_PAIRS 36
#define CLAIM_KIND 7

struct pair {
	struct job intent;
	struct job outcome;
	bool has_outcome;     /* it was submitted */
	bool is_intent_acked; /* before the power went */
	bool is_outcome_acked;
};

struct scenario {
	struct disk disk;
	struct pair pairs[N_PAIRS];
	bool is_open_acked;
};

static void
on_pending(struct ledger_entry *e)
{
	sem_post(&((struct job *)(void *)e)->done);
}

/* A record of a few pages, so that the log is long enough for a checkpoint of SQLite's. */
static void
make_long(struct job *j, const char *event, const char *action_id)
{
	static char text[6000];
	struct errinfo ei;

	memset(text, 'x', sizeof(text));
	arena_reset(j->arena);
	struct record *r = record_new(j->arena, event);
	MUST(r != NULL);
	record_set_text(r, RECORD_ACTION_ID, span_cstr(action_id));
	record_set_text(r, RECORD_RESULT_REDACTED_SUMMARY, span_of(text, sizeof(text)));
	MUST(record_render(r, redactor_default(), j->arena, &j->text, &ei) == OK);
}

static void
prepare(struct scenario *s)
{
	char id[32];

	for (size_t i = 0; i < N_PAIRS; i++) {
		struct pair *p = &s->pairs[i];
		snprintf(id, sizeof(id), "act-%zu", i);
		job_init(&p->intent, id);
		make_long(&p->intent, "action.decision", id);
		p->intent.state = LEDGER_OPEN;
		p->intent.claim = (struct ledger_claim){.kind = CLAIM_KIND, .state = 1};
		p->intent.claim.key[0] = (uint8_t)i;
		p->intent.e.undo = job_undo;
		p->intent.e.pending = on_pending;
		p->intent.undo_claim = true;
		job_init(&p->outcome, id);
		make_long(&p->outcome, "action.completed", id);
		p->outcome.e.must_write = true;
		p->outcome.e.pending = on_pending;
	}
}

/* Waits until it is done, or told that it has to wait. */
static bool
submit_and_wait(struct ledger *l, struct job *j)
{
	struct errinfo ei;

	if (ledger_submit(l, &j->e, &ei) != OK)
		return false;
	job_wait(j);
	return atomic_load(&j->n_done) == 1 && j->e.result == OK;
}

static void
work(struct scenario *s, struct ledger *l)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		struct pair *p = &s->pairs[i];
		p->is_intent_acked = submit_and_wait(l, &p->intent);
		if (!p->is_intent_acked || i % 5 == 4) /* an effect that never ends */
			continue;
		p->outcome.closes = p->intent.e.seq;
		p->has_outcome = true;
		p->is_outcome_acked = submit_and_wait(l, &p->outcome);
	}
}

static struct ledger_options
options_in(const char *dir)
{
	struct ledger_options o;

	ledger_options_init(&o);
	o.path = ledger_path_in(dir);
	o.checkpoint_every = 10;
	return o;
}

/* Opens, settles and starts; NULL when the power went. */
static struct ledger *
open_and_start(const char *dir, struct errinfo *ei)
{
	struct ledger_options o = options_in(dir);
	struct ledger *l = NULL;
	enum err rc = ledger_open(&o, &l, ei);

	if (rc == OK)
		rc = ledger_settle_unknown(l, NULL, ei);
	if (rc == OK)
		rc = ledger_start(l, ei);
	if (rc != OK)
		ledger_close(&l);
	return l;
}

/* The files that base/fdio.h writes: each is synced with its folder before it counts. */
static void
carry_over(const char *from, const char *to)
{
	static const char *const names[] = {"/ledger.db.key", "/ledger.db.pub", "/ledger.db.head"};
	char path[600];
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf b;
		buf_init(&b, 65536);
		snprintf(path, sizeof(path), "%s%s", from, names[i]);
		if (fdio_read_file(path, 65536, &b, NULL) == OK) {
			snprintf(path, sizeof(path), "%s%s", to, names[i]);
			MUST(fdio_write_file(path, buf_span(&b), 0600, &ei) == OK);
		}
		buf_fini(&b);
	}
}

/* One of a few folders that are used over and over, empty. */
static const char *
fresh_folder(void)
{
	static const char *folders[3];
	static const char *const tails[] = {
		"", "-wal", "-shm", "-journal", ".key", ".pub", ".head", ".lock"};
	static size_t next;
	size_t at = next++ % ARRAY_LEN(folders);
	char path[600];

	if (folders[at] == NULL)
		folders[at] = test_ramdir();
	for (size_t i = 0; i < ARRAY_LEN(tails); i++) {
		snprintf(path, sizeof(path), "%s/ledger.db%s", folders[at], tails[i]);
		(void)unlink(path);
	}
	return folders[at];
}

static const char *
reboot(struct disk *d, const char *dir)
{
	const char *next = fresh_folder();

	disk_reboot(d, next);
	carry_over(dir, next);
	return next;
}

/* ---- what is found ---- */

struct found {
	const struct scenario *s;
	struct chain_head head;
	enum chain_fault fault;
	size_t n_open;
	size_t n_found[N_PAIRS]; /* acknowledged intents that are there as they were acknowledged */
	size_t n_outcome[N_PAIRS]; /* records that close the intent */
	uint64_t intent_seq[N_PAIRS];
	bool is_outcome_found[N_PAIRS];
};

static void
look_at_pair(struct found *f, size_t i, const struct store_row *row)
{
	const struct pair *p = &f->s->pairs[i];
	const struct ledger_entry *intent = &p->intent.e;
	const struct ledger_entry *outcome = &p->outcome.e;
	bool is_decision = span_eq_cstr(
		chain_find_member(row->body, SPAN_LIT("event_type")), "\"action.decision\"");

	if (is_decision && f->intent_seq[i] == 0)
		f->intent_seq[i] = row->seq;
	else
		f->n_outcome[i]++;
	if (p->is_intent_acked && row->seq == intent->seq &&
		strcmp(row->hash, intent->event_hash) == 0)
		f->n_found[i]++;
	if (p->is_outcome_acked && row->seq == outcome->seq &&
		strcmp(row->hash, outcome->event_hash) == 0)
		f->is_outcome_found[i] = true;
}

static bool
look_at_row(const struct store_row *row, void *arg)
{
	struct found *f = arg;
	struct span id = chain_find_member(row->body, SPAN_LIT("action_id"));
	char text[32];

	f->n_open += row->state == LEDGER_OPEN;
	if (f->fault == CHAIN_FAULT_NONE)
		f->fault = chain_check(
			NULL, &f->head, row->seq, row->body, span_of(row->hash, SHA256_HEX));
	for (size_t i = 0; i < N_PAIRS; i++) {
		snprintf(text, sizeof(text), "\"act-%zu\"", i);
		if (span_eq_cstr(id, text))
			look_at_pair(f, i, row);
	}
	return true;
}

static void
check_claims(const struct found *f, struct ledger *l)
{
	for (size_t i = 0; i < N_PAIRS; i++) {
		const struct pair *p = &f->s->pairs[i];
		struct ledger_claim c;
		struct errinfo ei;
		enum err rc = l->store->ops->find_claim(
			l->store, CLAIM_KIND, p->intent.claim.key, &c, &ei);
		bool is_there = f->intent_seq[i] != 0;
		if (rc != (is_there ? OK : ERR_NOT_FOUND))
			FAIL("act-%zu: record %d, claim %d", i, (int)f->intent_seq[i], (int)rc);
		if (rc == OK)
			CHECK_INT(c.seq, f->intent_seq[i]);
	}
}

static void
check_found(const struct scenario *s, const char *dir, struct ledger *l)
{
	struct found f = {.s = s};
	struct errinfo ei;

	CHECK_INT(l->store->ops->page(l->store, 0, STORE_PAGE_MAX, look_at_row, &f, &ei), OK);
	CHECK_INT(f.fault, CHAIN_FAULT_NONE);
	CHECK_INT(f.n_open, 0);
	for (size_t i = 0; i < N_PAIRS; i++) {
		const struct pair *p = &s->pairs[i];
		if (p->is_intent_acked && f.n_found[i] != 1)
			FAIL("%s: act-%zu was acknowledged and is not there", dir, i);
		if (p->is_outcome_acked && !f.is_outcome_found[i])
			FAIL("%s: the outcome of act-%zu was acknowledged and is not there", dir,
				i);
		if (f.n_outcome[i] != (f.intent_seq[i] != 0 ? 1 : 0))
			FAIL("%s: act-%zu has %zu outcomes", dir, i, f.n_outcome[i]);
	}
	check_claims(&f, l);
}

/* ---- the runs ---- */

/* Cuts at call n of a run, and at call n_again of the start after it (0: not). Returns the calls of the first run. */
static uint64_t
run_and_cut(uint64_t seed, uint64_t n, uint64_t n_again)
{
	struct scenario *s = calloc(1, sizeof(*s));
	const char *dir = fresh_folder();
	struct errinfo ei;

	MUST(s != NULL);
	prepare(s);
	disk_start(&s->disk, seed, n);
	struct ledger *l = open_and_start(dir, &ei);
	if (l != NULL)
		work(s, l);
	ledger_close(&l);
	uint64_t n_calls = s->disk.n_calls;
	dir = reboot(&s->disk, dir);
	if (n_again != 0) {
		disk_start(&s->disk, seed + 1, n_again);
		disk_load(&s->disk, ledger_path_in(dir));
		char wal[600];
		snprintf(wal, sizeof(wal), "%s-wal", ledger_path_in(dir));
		disk_load(&s->disk, wal);
		l = open_and_start(dir, &ei);
		ledger_close(&l);
		dir = reboot(&s->disk, dir);
	}
	l = open_and_start(dir, &ei);
	if (l == NULL) {
		FAIL("cut at %d, again at %d, seed %d: %s", (int)n, (int)n_again, (int)seed,
			ei.msg);
	} else {
		check_found(s, dir, l);
		CHECK_INT(append_one(l, "after"), OK);
	}
	ledger_close(&l);
	for (size_t i = 0; i < N_PAIRS; i++) {
		job_fini(&s->pairs[i].intent);
		job_fini(&s->pairs[i].outcome);
	}
	free(s);
	return n_calls;
}

static bool
is_long(void)
{
	const char *text = getenv("NOMOS_TEST_LONG");

	return text != NULL && strcmp(text, "yes") == 0;
}

TEST(a_run_without_a_cut_makes_the_calls_that_are_cut)
{
	uint64_t n = run_and_cut(1, 0, 0);

	printf("      %d calls\n", (int)n);
	CHECK(n > 400);
}

/* Each of the first calls, which make the file; then each, or some. */
TEST(the_power_goes_at_each_call)
{
	uint64_t n_calls = run_and_cut(1, 0, 0);
	uint64_t step = is_long() ? 1 : 7;
	uint64_t n_seeds = is_long() ? 3 : 1;
	uint64_t n_cuts = 0;

	for (uint64_t seed = 1; seed <= n_seeds; seed++) {
		for (uint64_t n = 1; n <= n_calls; n += n < 40 ? 1 : step) {
			(void)run_and_cut(seed * 1000 + n, n, 0);
			n_cuts++;
		}
	}
	printf("      %d cuts over %d calls\n", (int)n_cuts, (int)n_calls);
}

TEST(the_power_goes_again_while_the_next_start_recovers)
{
	uint64_t step = is_long() ? 3 : 37;

	for (uint64_t n = 3; n <= 700; n += step) {
		for (uint64_t again = 1; again <= 40; again += is_long() ? 3 : 13)
			(void)run_and_cut(n * 31 + again, n, again + n % 3);
	}
}

SUITE("power_cut", TEST_ROW(a_run_without_a_cut_makes_the_calls_that_are_cut),
	TEST_ROW(the_power_goes_at_each_call),
	TEST_ROW(the_power_goes_again_while_the_next_start_recovers))
