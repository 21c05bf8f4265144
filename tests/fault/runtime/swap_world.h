/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The real reload.c, worker.c, loops and reference counts, turned one at a time on one thread. In the place of
 * the pool and of the ledger are functions that let a build and its record end when the order says so; the
 * snapshots are put together here without what takes long to build (the redactor), and each owns a descriptor
 * that shows its end. For one test program.
 */
#ifndef TESTS_FAULT_SWAP_WORLD_H
#define TESTS_FAULT_SWAP_WORLD_H

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/workq.h"
#include "pipeline/board.h"
#include "policy/policy.h"
#include "req_state.h"
#include "runtime.h"
#include "snapshot_parts.h"
#include "support/test.h"
#include "swap_model.h"

static struct {
	struct model model;
	struct runtime r;
	struct worker workers[WORKERS];
	struct snapshot *generations[GENERATIONS]; /* borrowed; dangling once freed */
	int fds[GENERATIONS];                      /* each is closed by its snapshot's end */
	struct snapshot *requests[WORKERS];
	struct reload_request asks[GENERATIONS];
	int n_done[GENERATIONS];
	struct workq_item *building;
	struct process_record record;
	struct loop_msg record_msg;
	enum err record_result;
	bool is_finished; /* reload_finish says that no reload is under way */
	long live;        /* blocks when only generation 0 was there */
	long blocks_each;
	const char *broken; /* what did not hold */
} run;

static struct policy *policies[GENERATIONS];
static struct pipeline
	*pipeline; /* a board on which nobody waits, and the desk's word of what is in force */
static struct listener_addr address;

static void
expect(bool holds, const char *what)
{
	if (!holds && run.broken == NULL)
		run.broken = what;
}

/* In the place of the pool: an item waits until the order lets it end. */
enum err
workq_submit(struct workq *q, struct workq_item *item)
{
	(void)q;
	expect(run.building == NULL, "one build at a time");
	run.building = item;
	return OK;
}

/* No action comes here. */
enum err
workq_reserve(struct workq *q)
{
	(void)q;
	return ERR_OVERLOAD;
}

void
workq_submit_reserved(struct workq *q, struct workq_item *item)
{
	(void)q;
	(void)item;
}

void
workq_release(struct workq *q)
{
	(void)q;
}

static void
on_pool_done(struct loop_msg *msg)
{
	struct workq_item *item = (struct workq_item *)(void *)msg;

	item->done(item);
}

static void
end_build(void)
{
	struct workq_item *item = run.building;

	run.building = NULL;
	item->process(item);
	item->msg.run = on_pool_done;
	loop_post(item->loop, &item->msg);
}

static void
on_recorded(struct loop_msg *msg)
{
	struct errinfo ei = {.msg = "no"};

	(void)msg;
	run.record.done(run.record.arg, run.record_result, &ei);
}

/* In the place of the ledger. */
enum err
process_record_submit(struct runtime *r, const struct process_record *p, struct errinfo *ei)
{
	bool is_success = strcmp(p->outcome, "success") == 0;
	enum record_fate fate =
		is_success ? run.model.plan->record[run.model.running] : RECORD_DURABLE;

	expect(p->snapshot == (is_success ? run.generations[run.model.running] : r->snapshot),
		"the record names the policy");
	if (fate == RECORD_REFUSED)
		return ERR(ei, ERR_AUDIT, "no");
	run.record = *p;
	run.record_result = fate == RECORD_LOST ? ERR_AUDIT : OK;
	run.record_msg.run = on_recorded;
	loop_post(r->loop, &run.record_msg);
	return OK;
}

static struct snapshot *
make_snapshot(int generation)
{
	struct snapshot *s = mem_zalloc(1, sizeof(*s));

	MUST(s != NULL);
	s->magic = SNAPSHOT_MAGIC;
	atomic_init(&s->n_refs, 1);
	s->arena = arena_new(1024);
	s->policy = policy_ref(policies[generation]);
	s->exec.workspace.root_fd = run.fds[generation];
	run.generations[generation] = s;
	return s;
}

static enum err
load(void *arg, struct snapshot **out, struct errinfo *ei)
{
	(void)arg;
	*out = NULL;
	if (run.model.plan->is_load_bad[run.model.running])
		return ERR(ei, ERR_INVALID, "no policy");
	*out = make_snapshot(run.model.running);
	return OK;
}

static void
on_reload_done(struct reload_request *q)
{
	int k = (int)(q - run.asks);

	run.n_done[k]++;
	for (int w = 0; w < WORKERS && q->result == OK; w++) {
		bool is_new = false;
		for (int g = k; g < GENERATIONS; g++)
			is_new = is_new || run.workers[w].snapshot == run.generations[g];
		expect(is_new || run.model.is_closing, "done comes after every worker's swap");
	}
}

static void
refuse_request(struct http_request *req, void *arg)
{
	(void)arg;
	http_request_reply(req, 503, NULL, 0, SPAN_LIT(""));
}

static void
set_up(const struct plan *plan)
{
	struct runtime *r = &run.r;

	memset(&run, 0, sizeof(run));
	atomic_store(&pipeline->desk.in_force, NULL);
	model_init(&run.model, plan);
	for (int g = 0; g < GENERATIONS; g++) {
		run.fds[g] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		MUST(run.fds[g] >= 0);
	}
	*r = (struct runtime){.magic = RUNTIME_MAGIC,
		.pipeline = pipeline,
		.workers = run.workers,
		.n_workers = WORKERS,
		.listenings = {.v = {{.addr = address}}, .n = 1},
		.options = {.listeners = {.n = 1}, .handler = refuse_request, .load = load}};
	http_server_options_init(&r->options.http);
	MUST(loop_new(&r->loop, NULL) == OK);
	MUST(reload_init(r, NULL) == OK);
	long before = mem_live();
	r->snapshot = make_snapshot(0);
	run.blocks_each = mem_live() - before;
	for (int w = 0; w < WORKERS; w++)
		MUST(worker_init(&run.workers[w], r, NULL) == OK);
	run.live = mem_live();
}

static void
ask(int k)
{
	bool is_by_worker = model_is_by_worker(&run.model, k);

	run.asks[k] =
		(struct reload_request){.loop = is_by_worker ? run.workers[0].loop : run.r.loop,
			.trigger = is_by_worker ? "admin" : "signal",
			.done = on_reload_done};
	runtime_reload(&run.r, &run.asks[k]);
}

static void
take_step(enum step s)
{
	int w = s == TURN_B || s == START_B || s == END_B ? 1 : 0;

	switch (s) {
	case MAIN:
		/* Without a grace it is one turn. */
		if (run.model.is_stopped)
			run.is_finished = reload_finish(&run.r);
		else
			loop_turn(run.r.loop, false);
		break;
	case TURN_A:
	case TURN_B:
		loop_turn(run.workers[w].loop, false);
		break;
	case START_A:
	case START_B: /* as req_new and req_free do it */
		run.requests[w] = snapshot_ref(worker_get_snapshot(&run.workers[w]));
		break;
	case END_A:
	case END_B:
		snapshot_unref(&run.requests[w]);
		break;
	case ASK:
		ask(run.model.n_asked + 1);
		break;
	case POOL:
		end_build();
		break;
	case STOP:
		loop_turn(run.r.loop, false);
		break;
	case STEPS:
		break;
	}
}

static void
prepare(void)
{
	static const char *const ids[GENERATIONS] = {"zero", "one", "two"};

	if (policies[0] != NULL)
		return;
	pipeline = mem_zalloc(1, sizeof(*pipeline));
	MUST(pipeline != NULL && board_new(&pipeline->board, NULL) == OK);
	log_set_level(LOG_ERROR);
	MUST(hash_init(NULL) == OK);
	MUST(listener_parse(SPAN_LIT("127.0.0.1:0"), &address, NULL) == OK);
	MUST(listener_probe(&address, NULL) == OK);
	for (int g = 0; g < GENERATIONS; g++) {
		char text[256];
		snprintf(text, sizeof(text),
			"{\"version\":\"v1\",\"rules\":[{\"id\":\"%s\",\"action_type\":\"a.b\","
			"\"resource\":\"x://y/**\",\"decision\":\"ALLOW\"}]}",
			ids[g]);
		struct policy_source source = {
			.path = SPAN_LIT("p.json"), .bytes = span_cstr(text)};
		struct policy_options options = {0};
		struct errinfo ei = {OK, ""};
		if (policy_load(&source, 1, &options, &policies[g], &ei) != OK)
			FAIL("%s", ei.msg);
		MUST(policies[g] != NULL);
	}
}

#endif
