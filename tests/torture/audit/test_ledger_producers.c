/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Four loops with 10,000 entries each, as the workers of the gateway submit them, with a sink
 * reading along and the store failing now and then: every entry is given back exactly once on its
 * loop, the chain holds, nothing is lost.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "audit/store.h"
#include "base/loop.h"
#include "base/mem.h"
#include "../../unit/audit/fault_store.h"
#include "../../unit/audit/ledger_fixture.h"

#define PRODUCERS 4
#define ENTRIES 10000
#define IN_FLIGHT 64

struct producer;

struct slot {
	struct job job; /* first */
	struct producer *producer;
};

struct producer {
	pthread_t thread;
	struct loop *loop;
	struct ledger *l;
	struct slot slots[IN_FLIGHT];
	size_t n_started;
	size_t n_in_flight;
	uint64_t n_written;
	uint64_t n_refused;
	uint64_t last_seq;
	bool is_out_of_order;
};

/* Starts entries until the loop's share is in flight; a refused submit is an answer too. */
static void
submit_more(struct producer *p, struct slot *s)
{
	struct errinfo ei;

	while (p->n_started < ENTRIES) {
		p->n_started++;
		if (ledger_submit(p->l, &s->job.e, &ei) == OK) {
			p->n_in_flight++;
			return;
		}
		p->n_refused++;
		while (!ledger_is_ready(p->l, NULL, 0))
			sched_yield();
	}
	if (p->n_in_flight == 0)
		loop_stop(p->loop);
}

static void
on_done(struct ledger_entry *e)
{
	struct slot *s = (struct slot *)(void *)e;
	struct producer *p = s->producer;

	MUST(pthread_equal(pthread_self(), p->thread) != 0);
	p->n_in_flight--;
	if (e->result == OK) {
		p->n_written++;
		p->is_out_of_order = p->is_out_of_order || e->seq <= p->last_seq;
		p->last_seq = e->seq;
	} else {
		p->n_refused++;
	}
	submit_more(p, s);
}

static void *
produce(void *arg)
{
	struct producer *p = arg;

	for (size_t i = 0; i < IN_FLIGHT; i++) {
		struct slot *s = &p->slots[i];
		job_init(&s->job, "a");
		s->producer = p;
		s->job.e.loop = p->loop;
		s->job.e.done = on_done;
		submit_more(p, s);
	}
	if (p->n_in_flight > 0)
		loop_run(p->loop);
	for (size_t i = 0; i < IN_FLIGHT; i++)
		job_fini(&p->slots[i].job);
	return NULL;
}

struct counter_sink {
	struct sink base;
	uint64_t last;
	bool is_out_of_order;
};

static enum err
take_all(struct sink *s, const struct sink_record *r, size_t n, size_t *n_taken, struct errinfo *ei)
{
	struct counter_sink *c = (struct counter_sink *)(void *)s;

	(void)ei;
	for (size_t i = 0; i < n; i++) {
		c->is_out_of_order = c->is_out_of_order || r[i].seq != c->last + 1;
		c->last = r[i].seq;
	}
	*n_taken = n;
	return OK;
}

static void
keep_sink(struct sink *s)
{
	(void)s; /* it is the test's */
}

struct check {
	struct chain_head head;
	enum chain_fault fault;
};

static bool
check_row(const struct store_row *row, void *arg)
{
	struct check *c = arg;

	c->fault = chain_check(NULL, &c->head, row->seq, row->body, span_of(row->hash, SHA256_HEX));
	return c->fault == CHAIN_FAULT_NONE;
}

static uint64_t
check_chain(const char *path)
{
	struct check c = {0};
	struct store_reader *r = NULL;
	struct errinfo ei;
	size_t n = 0;

	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &r, &ei), OK);
	do
		CHECK_INT(store_reader_page(r, c.head.seq, STORE_PAGE_MAX, check_row, &c, &n, &ei),
			OK);
	while (n == STORE_PAGE_MAX && c.fault == CHAIN_FAULT_NONE);
	CHECK_INT(c.fault, CHAIN_FAULT_NONE);
	store_reader_free(&r);
	return c.head.seq;
}

static void
run_producers(enum ledger_required required, int n_faults)
{
	static const struct sink_ops ops = {.deliver = take_all, .free = keep_sink};
	static struct producer producers[PRODUCERS];
	struct counter_sink sink = {.base = {.ops = &ops, .name = "count"}};
	struct sink *sinks[1] = {&sink.base};
	struct fault_store faults;
	struct ledger_options o = options_in(test_tmpdir());
	struct errinfo ei;
	uint64_t n_written = 0;

	o.sinks = sinks;
	o.n_sinks = 1;
	o.required = required;
	o.sink_deadline_ms = 60000;
	struct ledger *l = open_ledger(&o);
	MUST(l != NULL);
	fault_install(&faults, l);
	CHECK_INT(ledger_start(l, &ei), OK);
	for (size_t i = 0; i < PRODUCERS; i++) {
		memset(&producers[i], 0, sizeof(producers[i]));
		producers[i].l = l;
		CHECK_INT(loop_new(&producers[i].loop, &ei), OK);
		MUST(pthread_create(&producers[i].thread, NULL, produce, &producers[i]) == 0);
	}
	fault_set(&faults, FAULT_COMMIT_LOST, 10, n_faults);
	for (size_t i = 0; i < PRODUCERS; i++) {
		MUST(pthread_join(producers[i].thread, NULL) == 0);
		CHECK_INT(producers[i].n_written + producers[i].n_refused, ENTRIES);
		CHECK(!producers[i].is_out_of_order);
		if (n_faults == 0)
			CHECK_INT(producers[i].n_refused, 0);
		n_written += producers[i].n_written;
	}
	ledger_close(&l);
	for (size_t i = 0; i < PRODUCERS; i++)
		loop_free(&producers[i].loop);
	uint64_t n_checkpoints = n_written / o.checkpoint_every + 1;
	uint64_t last = check_chain(o.path);
	CHECK(last >= n_written + 1 && last <= n_written + 2 + n_checkpoints);
	CHECK(!sink.is_out_of_order);
	CHECK_INT(sink.last, last);
}

TEST(every_entry_comes_back_once)
{
	run_producers(LEDGER_REQUIRED_LEDGER, 0);
}

TEST(every_entry_comes_back_once_with_a_required_sink)
{
	run_producers(LEDGER_REQUIRED_ALL, 0);
}

TEST(every_entry_comes_back_once_while_commits_fail)
{
	run_producers(LEDGER_REQUIRED_LEDGER, 3);
}

SUITE("ledger_producers", TEST_ROW(every_entry_comes_back_once),
	TEST_ROW(every_entry_comes_back_once_with_a_required_sink),
	TEST_ROW(every_entry_comes_back_once_while_commits_fail))
