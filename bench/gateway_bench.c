/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway as `nomos serve` runs it, but with a choice of the ledger's durability that no configuration key offers:
 * what deciding costs without evidence, and what evidence costs. Loaded by scripts/bench; never installed. The configuration
 * names no sinks. A thread answers each line on stdin with the number of heap allocations made so far, on stderr.
 *
 *     gateway_bench CONFIG off|memory|normal|full
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/sink.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "options.h"
#include "pipeline/snapshot.h"
#include "runtime/runtime.h"

#define SINK_ARENA_BYTES 65536

static enum err
refuse_reload(void *arg, struct snapshot **out, struct errinfo *ei)
{
	(void)arg;
	*out = NULL;
	return ERR(ei, ERR_UNSUPPORTED, "the bench does not reload");
}

static void
say_ready(void *arg, const struct runtime_listener *l, const char *address)
{
	(void)arg;
	(void)l;
	fprintf(stderr, "listening on http://%s\n", address);
}

static enum err
take_all(struct sink *s, const struct sink_record *r, size_t n, size_t *n_taken, struct errinfo *ei)
{
	(void)s;
	(void)r;
	(void)ei;
	*n_taken = n;
	return OK;
}

static void
keep(struct sink *s)
{
	(void)s;
}

/* "off": records are built, chained and handed over, and go nowhere. */
static const struct sink_ops nowhere_ops = {.deliver = take_all, .free = keep};
static struct sink nowhere = {.ops = &nowhere_ops, .name = "nowhere"};
static struct sink *const nowhere_list[] = {&nowhere};

/* Ends with the process: nobody joins it. */
static void *
answer_counts(void *arg)
{
	char c = 0;

	(void)arg;
	while (read(STDIN_FILENO, &c, 1) == 1) {
		if (c == '\n')
			fprintf(stderr, "allocations %lu\n", mem_count());
	}
	return NULL;
}

static bool
set_store(struct ledger_options *o, const char *word)
{
	if (strcmp(word, "off") == 0) {
		o->store = LEDGER_STORE_NONE;
		o->required = LEDGER_REQUIRED_ALL;
		o->sinks = nowhere_list;
		o->n_sinks = ARRAY_LEN(nowhere_list);
	} else if (strcmp(word, "memory") == 0)
		o->store = LEDGER_STORE_MEMORY;
	else if (strcmp(word, "normal") == 0)
		o->sync = LEDGER_SYNC_NORMAL;
	else
		return strcmp(word, "full") == 0;
	if (o->store != LEDGER_STORE_SQLITE) {
		o->path = NULL;
		o->key_path = NULL;
	}
	return true;
}

static enum err
build(const struct loaded_config *c, const char *store, struct arena *a, struct runtime **out,
	struct errinfo *ei)
{
	const struct nomos_options *o = &c->options;
	struct runtime_options options = {
		.n_workers = (size_t)o->gateway.workers,
		.shutdown_grace_ns = o->gateway.shutdown_grace_seconds * NS_PER_SEC,
		.handler = gateway_handle,
		.load = refuse_reload,
		.on_ready = say_ready,
	};
	struct pipeline_options pipeline;
	struct snapshot *snapshot = NULL;
	struct audit_plan plan;

	gateway_section_build(&o->gateway, &options.http);
	loaded_config_pipeline(c, &pipeline);
	enum err rc = runtime_listeners_build(&o->gateway, &options.listeners, ei);
	options.tls_look_ns = NS_PER_SEC;
	if (rc == OK)
		rc = gateway_section_build_tls(&o->gateway, &options.tls, ei);
	if (rc == OK)
		rc = snapshot_new(&pipeline, &snapshot, ei);
	if (rc == OK)
		rc = audit_plan_parse(&o->ledger, &o->audit, o->runtime.stateless_mode, &plan, ei);
	if (rc == OK)
		rc = audit_plan_build(
			&plan, &o->ledger, &o->audit, &o->approvals, a, &options.ledger, ei);
	if (rc == OK && !set_store(&options.ledger, store))
		rc = ERR(ei, ERR_INVALID, "%s is not one of off, memory, normal, full", store);
	if (rc == OK)
		return runtime_new(&options, snapshot, out, ei);
	snapshot_unref(&snapshot);
	return rc;
}

int
main(int argc, char **argv)
{
	struct loaded_config *config = NULL;
	struct runtime *runtime = NULL;
	struct errinfo ei;
	pthread_t counter;

	/* As the program does: a client of TLS that has left would end it. */
	signal(SIGPIPE, SIG_IGN);
	if (argc != 3) {
		fprintf(stderr, "usage: gateway_bench CONFIG off|memory|normal|full\n");
		return 2;
	}
	struct arena *a = arena_new(SINK_ARENA_BYTES);
	enum err rc = loaded_config_read(argv[1], NULL, &config, &ei);
	if (config != NULL)
		loaded_config_print(config);
	if (rc == OK && a == NULL)
		rc = ERR(&ei, ERR_NOMEM, "out of memory");
	if (rc == OK)
		rc = build(config, argv[2], a, &runtime, &ei);
	if (rc != OK || pthread_create(&counter, NULL, answer_counts, NULL) != 0) {
		fprintf(stderr, "gateway_bench: %s\n", rc != OK ? ei.msg : "cannot start a thread");
		return 1;
	}
	(void)runtime_run(runtime);
	_exit(0); /* the counting thread may still read */
}
