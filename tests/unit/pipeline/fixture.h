/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway without a wire for tests of pipeline/: a loop, a pool, a fake ledger, a workspace in a private folder, one
 * principal with an API key, one service, two agents. fixture_send signs a body, runs it to its end and keeps a copy of the
 * answer.
 */
#ifndef TESTS_PIPELINE_FIXTURE_H
#define TESTS_PIPELINE_FIXTURE_H

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/workq.h"
#include "fake_ledger.h"
#include "pipeline/options.h"
#include "pipeline/pipeline.h"
#include "pipeline/req.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "support/signing.h"
#include "support/test.h"

#define FIXTURE_KEY "key-of-alice"
#define FIXTURE_SECRET "agent-secret"

struct answer {
	bool is_done;
	enum req_error error;
	char message[8192];
	uint32_t retry_after_s;
	enum verdict verdict;
	enum reason reason;
	bool has_fingerprint;
	bool is_replayed;
	bool is_external;
	bool has_output;
	bool truncated;
	bool has_bytes_written;
	char output[8192];
	size_t n_output;
	int64_t bytes_written;
	char obligations[512];
	char explain[8192];
	char approval_id[64];
	char approval_status[32];
	uint64_t seq;
	char action_id[128];
	char trace_id[128];
};

struct fixture {
	struct loop *loop;
	struct workq *pool;
	struct ledger ledger;
	struct pipeline *pipeline;
	struct snapshot *snapshot;
	struct pipeline_options options;
	struct config_pair api_keys[1];
	struct config_pair services[1];
	struct config_pair agents[2];
	char folder[128];
	char workspace[160];
	char bundle[160];
	struct answer answer;
	struct req *held; /* answered and not freed yet */
	bool keeps;       /* the plane frees later */
	/* What the next request carries instead of the usual. */
	const char *authorization;
	const char *agent_id;
	const char *agent_signature;
	const char *media_type;
	const char *idempotency_key;
	enum req_operation operation;
};

#define FIXTURE_RULES                                                                              \
	"{\"version\":\"v1\",\"rules\":["                                                          \
	"{\"id\":\"read\",\"action_type\":\"fs.read\",\"resource\":\"file://workspace/**\","       \
	"\"decision\":\"ALLOW\"},"                                                                 \
	"{\"id\":\"short\",\"action_type\":\"fs.read\",\"resource\":\"file://workspace/short/"     \
	"**\","                                                                                    \
	"\"decision\":\"ALLOW\",\"obligations\":{\"output_max_bytes\":5,\"output_max_lines\":1}}," \
	"{\"id\":\"boxed\",\"action_type\":\"fs.read\",\"resource\":\"file://workspace/boxed/"     \
	"**\","                                                                                    \
	"\"decision\":\"ALLOW\",\"obligations\":{\"sandbox_mode\":\"container\"}},"                \
	"{\"id\":\"write\",\"action_type\":\"fs.write\",\"resource\":\"file://workspace/**\","     \
	"\"decision\":\"ALLOW\",\"obligations\":{\"sandbox_mode\":\"local\"}},"                    \
	"{\"id\":\"ask\",\"action_type\":\"payments.refund\",\"resource\":\"pay://shop/**\","      \
	"\"decision\":\"REQUIRE_APPROVAL\",\"obligations\":{\"approval_ttl_seconds\":60}},"        \
	"{\"id\":\"pay\",\"action_type\":\"payments.list\",\"resource\":\"pay://shop/**\","        \
	"\"decision\":\"ALLOW\"},"                                                                 \
	"{\"id\":\"exec\",\"action_type\":\"process.exec\",\"resource\":\"file://workspace/\","    \
	"\"decision\":\"ALLOW\"},"                                                                 \
	"{\"id\":\"lease\",\"action_type\":\"secrets.checkout\",\"resource\":\"secret://v/**\","   \
	"\"decision\":\"ALLOW\"}]}"

static inline void
fixture_write(const struct fixture *f, const char *name, const char *text, size_t n)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->workspace, name);
	file = fopen(path, "wb");
	MUST(file != NULL && fwrite(text, 1, n, file) == n && fclose(file) == 0);
}

static inline void
fixture_options(struct fixture *f)
{
	struct pipeline_options *o = &f->options;

	f->api_keys[0] = (struct config_pair){SPAN_LIT(FIXTURE_KEY), SPAN_LIT("alice")};
	f->services[0] = (struct config_pair){SPAN_LIT("svc"), SPAN_LIT("service-secret")};
	f->agents[0] = (struct config_pair){SPAN_LIT("bot"), SPAN_LIT(FIXTURE_SECRET)};
	f->agents[1] = (struct config_pair){SPAN_LIT("other"), SPAN_LIT("other-secret")};
	*o = (struct pipeline_options){
		.gateway = {.concurrency_limit = 4,
			.rate_limit_per_minute = 1000,
			.circuit_breaker_failures = 2,
			.circuit_breaker_cooldown_seconds = 60},
		.policy = {.policy_bundle_path = span_cstr(f->bundle), .explain_suggestions = true},
		.executor = {.workspace_root = span_cstr(f->workspace),
			.max_output_bytes = 4096,
			.max_output_lines = 200},
		.identity = {.principal = SPAN_LIT("alice"),
			.agent = SPAN_LIT("bot"),
			.environment = SPAN_LIT("dev"),
			SIGNING_DEFAULTS,
			.api_keys = {f->api_keys, 1},
			.service_secrets = {f->services, 1},
			.agent_secrets = {f->agents, 2}},
		.rate_limits = {.evict_after_seconds = 3600,
			.max_buckets = 1000,
			.max_buckets_per_principal = 100},
		.engine_version = SPAN_LIT("1.2.3"),
	};
}

/* Builds the snapshot anew from f->options. */
static inline void
fixture_reload(struct fixture *f)
{
	struct errinfo ei = {OK, ""};

	snapshot_unref(&f->snapshot);
	if (snapshot_new(&f->options, &f->snapshot, &ei) != OK)
		fprintf(stderr, "snapshot: %s\n", ei.msg);
	MUST(f->snapshot != NULL);
}

static inline void
fixture_init(struct fixture *f)
{
	FILE *file;

	MUST(hash_init(NULL) == OK);
	*f = (struct fixture){0};
	snprintf(f->folder, sizeof(f->folder), "%s", test_tmpdir());
	snprintf(f->workspace, sizeof(f->workspace), "%s/ws", f->folder);
	snprintf(f->bundle, sizeof(f->bundle), "%s/bundle.json", f->folder);
	MUST(mkdir(f->workspace, 0755) == 0);
	file = fopen(f->bundle, "wb");
	MUST(file != NULL && fputs(FIXTURE_RULES, file) >= 0 && fclose(file) == 0);
	MUST(loop_new(&f->loop, NULL) == OK);
	MUST(workq_new(1, 8, &f->pool, NULL) == OK);
	MUST(pipeline_new(&f->ledger, f->pool, 1, &f->pipeline, NULL) == OK);
	fixture_options(f);
	fixture_reload(f);
}

static inline void
fixture_fini(struct fixture *f)
{
	if (f->held != NULL)
		req_free(&f->held);
	for (int i = 0; i < 4; i++)
		loop_turn(f->loop, false);
	pipeline_free(&f->pipeline);
	snapshot_unref(&f->snapshot);
	workq_free(&f->pool);
	loop_free(&f->loop);
}

static inline void
copy_text(char *to, size_t size, struct span from)
{
	MUST(from.n < size);
	if (from.n > 0)
		memcpy(to, from.p, from.n);
	to[from.n] = '\0';
}

static inline void
fixture_done(struct req *r, const struct req_result *x, void *arg)
{
	struct fixture *f = arg;
	struct answer *a = &f->answer;

	MUST(!a->is_done);
	*a = (struct answer){
		.is_done = true,
		.error = x->error,
		.retry_after_s = x->retry_after_s,
		.verdict = x->verdict,
		.reason = x->reason,
		.has_fingerprint = x->has_fingerprint,
		.is_replayed = x->is_replayed,
		.is_external = x->is_external,
		.has_output = x->has_output,
		.truncated = x->truncated,
		.has_bytes_written = x->has_bytes_written,
		.n_output = x->output.n,
		.bytes_written = x->bytes_written,
		.seq = x->seq,
	};
	copy_text(a->message, sizeof(a->message), x->message);
	copy_text(a->output, sizeof(a->output), x->output);
	copy_text(a->approval_id, sizeof(a->approval_id), x->approval_id);
	copy_text(a->approval_status, sizeof(a->approval_status), span_cstr(x->approval_status));
	copy_text(a->explain, sizeof(a->explain), x->explain);
	if (x->error == REQ_DECIDED && x->action != NULL) {
		copy_text(a->action_id, sizeof(a->action_id), x->action->action_id);
		copy_text(a->trace_id, sizeof(a->trace_id), x->action->trace_id);
	}
	if (x->error == REQ_DECIDED && x->obligations != NULL)
		copy_text(a->obligations, sizeof(a->obligations), x->obligations->canonical);
	if (f->keeps)
		f->held = r;
	else
		req_free(&r);
}

/* The lower-case hex HMAC of the body. */
static inline void
fixture_sign(const char *secret, struct span body, char hex[SHA256_HEX + 1])
{
	uint8_t mac[SHA256_BYTES];

	hash_hmac_sha256(span_cstr(secret), body, mac);
	hash_hex(mac, sizeof(mac), hex);
}

/* Starts it; the input must live until the answer. False when there is no memory for a request. */
static inline bool
fixture_start(struct fixture *f, struct req_input *in, const char *body, char hex[SHA256_HEX + 1])
{
	struct req *r = req_new(f->pipeline, f->snapshot, f->loop, fixture_done, f);

	f->answer = (struct answer){.is_done = false};
	if (r == NULL)
		return false;
	fixture_sign(FIXTURE_SECRET, span_cstr(body), hex);
	*in = (struct req_input){
		.operation = f->operation,
		.credentials = {.authorization =
					span_cstr(f->authorization != NULL ? f->authorization
									   : "Bearer " FIXTURE_KEY),
			.agent_id = span_cstr(f->agent_id != NULL ? f->agent_id : "bot"),
			.agent_signature =
				span_cstr(f->agent_signature != NULL ? f->agent_signature : hex)},
		.body = span_cstr(body),
		.request_id = SPAN_LIT("req_1"),
		.media_type = span_cstr(f->media_type),
		.idempotency_key = span_cstr(f->idempotency_key),
	};
	req_start(r, in);
	return true;
}

static inline const struct answer *
fixture_send(struct fixture *f, const char *body)
{
	struct req_input in;
	char hex[SHA256_HEX + 1];

	MUST(fixture_start(f, &in, body, hex));
	while (!f->answer.is_done)
		loop_turn(f->loop, true);
	return &f->answer;
}

/* The same for an action of that type, resource and params. The body is static. */
static inline const char *
fixture_body(const char *type, const char *resource, const char *params)
{
	static char body[70000];

	snprintf(body, sizeof(body),
		"{\"schema_version\":\"v1\",\"action_id\":\"a1\",\"action_type\":\"%s\","
		"\"resource\":\"%s\",\"params\":%s,\"trace_id\":\"t1\",\"context\":{\"extensions\":"
		"{}}}",
		type, resource, params);
	return body;
}

static inline const struct answer *
fixture_act(struct fixture *f, const char *type, const char *resource, const char *params)
{
	return fixture_send(f, fixture_body(type, resource, params));
}

#endif
