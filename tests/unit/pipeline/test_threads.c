/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests on several loops against the real ledger (in memory), the pool and a snapshot that is replaced meanwhile: every
 * answer is one, nothing is left in flight, every intent has its outcome. Run under TSan as well.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/ledger.h"
#include "audit/ledger_options.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/workq.h"
#include "pipeline/options.h"
#include "pipeline/pipeline.h"
#include "pipeline/req.h"
#include "pipeline/snapshot.h"
#include "support/signing.h"
#include "support/test.h"

enum { LOOPS = 3, REQUESTS = 200, AT_ONCE = 4 };

#define BODY(type, resource, params)                                                               \
	"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"" type                  \
	"\",\"resource\":\"" resource "\",\"params\":" params                                      \
	",\"trace_id\":\"t1\",\"context\":{}}"

static const char *const bodies[] = {
	BODY("fs.read", "file://workspace/a", "{}"),
	BODY("fs.write", "file://workspace/b", "{\"content\":\"x\"}"),
	BODY("pay.list", "pay://shop/a", "{}"),
	BODY("pay.none", "pay://shop/a", "{}"),
};

struct gateway {
	struct ledger *ledger;
	struct workq *pool;
	struct pipeline *pipeline;
	struct pipeline_options options;
	pthread_mutex_t lock; /* guards current */
	struct snapshot *current;
	atomic_int n_allowed;
	atomic_int n_denied;
	atomic_int n_other;
};

struct client_thread;

struct call {
	struct client_thread *caller;
	struct req_input in;
	char hex[SHA256_HEX + 1];
};

struct client_thread {
	pthread_t thread;
	struct gateway *gateway;
	struct loop *loop;
	struct call calls[AT_ONCE];
	int n_started;
	int n_answered;
};

static void start_call(struct call *c);

static void
answered(struct req *r, const struct req_result *x, void *arg)
{
	struct call *c = arg;
	struct gateway *g = c->caller->gateway;

	if (x->error != REQ_DECIDED)
		atomic_fetch_add(&g->n_other, 1);
	else
		atomic_fetch_add(x->verdict == VERDICT_ALLOW ? &g->n_allowed : &g->n_denied, 1);
	req_free(&r);
	c->caller->n_answered++;
	if (c->caller->n_started < REQUESTS)
		start_call(c);
}

static void
start_call(struct call *c)
{
	struct gateway *g = c->caller->gateway;
	struct span body = span_cstr(bodies[c->caller->n_started++ % (int)ARRAY_LEN(bodies)]);
	uint8_t mac[SHA256_BYTES];
	struct snapshot *s;
	struct req *r;

	hash_hmac_sha256(SPAN_LIT("secret"), body, mac);
	hash_hex(mac, sizeof(mac), c->hex);
	c->in = (struct req_input){
		.credentials = {.authorization = SPAN_LIT("Bearer key"),
			.agent_id = SPAN_LIT("bot"),
			.agent_signature = span_of(c->hex, SHA256_HEX)},
		.body = body,
		.request_id = SPAN_LIT("req_1"),
	};
	pthread_mutex_lock(&g->lock);
	s = snapshot_ref(g->current);
	pthread_mutex_unlock(&g->lock);
	r = req_new(g->pipeline, s, c->caller->loop, answered, c);
	snapshot_unref(&s);
	MUST(r != NULL);
	req_start(r, &c->in);
}

static void *
call_all(void *arg)
{
	struct client_thread *caller = arg;

	for (int i = 0; i < AT_ONCE; i++) {
		caller->calls[i].caller = caller;
		start_call(&caller->calls[i]);
	}
	while (caller->n_answered < REQUESTS)
		loop_turn(caller->loop, true);
	return NULL;
}

static void
write_text(const char *folder, const char *name, const char *text, char *path, size_t size)
{
	FILE *f;

	snprintf(path, size, "%s/%s", folder, name);
	f = fopen(path, "wb");
	MUST(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void
gateway_init(struct gateway *g, const char *bundle, const char *workspace)
{
	static struct config_pair key = {{"key", 3}, {"alice", 5}};
	static struct config_pair agent = {{"bot", 3}, {"secret", 6}};
	static struct rate_rule_section rule = {
		.id = {"r", 1}, .action_type = {"*", 1}, .burst = 1000000, .refill_per_minute = 1};
	struct ledger_options o;

	ledger_options_init(&o);
	o.store = LEDGER_STORE_MEMORY;
	MUST(ledger_open(&o, &g->ledger, NULL) == OK);
	MUST(ledger_start(g->ledger, NULL) == OK);
	MUST(workq_new(2, 64, &g->pool, NULL) == OK);
	MUST(pipeline_new(g->ledger, g->pool, LOOPS, &g->pipeline, NULL) == OK);
	g->options = (struct pipeline_options){
		.gateway = {.concurrency_limit = 1000,
			.rate_limit_per_minute = 1000000,
			.circuit_breaker_failures = 5,
			.circuit_breaker_cooldown_seconds = 60},
		.policy = {.policy_bundle_path = span_cstr(bundle)},
		.executor = {.workspace_root = span_cstr(workspace),
			.max_output_bytes = 4096,
			.max_output_lines = 200},
		.identity = {.environment = SPAN_LIT("dev"),
			SIGNING_DEFAULTS,
			.api_keys = {&key, 1},
			.agent_secrets = {&agent, 1}},
		.rate_limits = {.enabled = true,
			.evict_after_seconds = 1,
			.max_buckets = 100,
			.max_buckets_per_principal = 100},
	};
	g->options.rate_limits.principal_action.v = &rule;
	g->options.rate_limits.principal_action.n = 1;
	MUST(snapshot_new(&g->options, &g->current, NULL) == OK);
	pthread_mutex_init(&g->lock, NULL);
}

static void
reload(struct gateway *g)
{
	struct snapshot *next;

	MUST(snapshot_new(&g->options, &next, NULL) == OK);
	pthread_mutex_lock(&g->lock);
	snapshot_unref(&g->current);
	g->current = next;
	pthread_mutex_unlock(&g->lock);
}

TEST(many_requests_on_several_loops)
{
	struct gateway g = {.n_allowed = 0};
	struct client_thread callers[LOOPS] = {0};
	char bundle[200];
	char path[200];
	const char *folder;

	MUST(hash_init(NULL) == OK);
	folder = test_tmpdir();
	write_text(folder, "a", "text\n", path, sizeof(path));
	write_text(folder, "p.json",
		"{\"version\":\"v1\",\"rules\":[{\"id\":\"fs\",\"action_type\":\"*\","
		"\"resource\":\"file://workspace/**\",\"decision\":\"ALLOW\"},"
		"{\"id\":\"pay\",\"action_type\":\"pay.list\",\"resource\":\"pay://shop/*\","
		"\"decision\":\"ALLOW\"}]}",
		bundle, sizeof(bundle));
	gateway_init(&g, bundle, folder);
	for (int i = 0; i < LOOPS; i++) {
		callers[i].gateway = &g;
		MUST(loop_new(&callers[i].loop, NULL) == OK);
		MUST(pthread_create(&callers[i].thread, NULL, call_all, &callers[i]) == 0);
	}
	for (int i = 0; i < 20; i++)
		reload(&g);
	for (int i = 0; i < LOOPS; i++)
		pthread_join(callers[i].thread, NULL);
	CHECK_INT(atomic_load(&g.n_other), 0);
	CHECK_INT(atomic_load(&g.n_allowed), LOOPS * REQUESTS / 4 * 3);
	CHECK_INT(atomic_load(&g.n_denied), LOOPS * REQUESTS / 4);
	CHECK_INT(pipeline_count_in_flight(g.pipeline), 0);
	ledger_close(&g.ledger);
	for (int i = 0; i < LOOPS; i++)
		loop_free(&callers[i].loop);
	pipeline_free(&g.pipeline);
	snapshot_unref(&g.current);
	workq_free(&g.pool);
}

SUITE("threads", TEST_ROW(many_requests_on_several_loops))
