/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Builds a snapshot: loads the policy, copies identities and limits, opens the workspace.
 * All or nothing; the running snapshot is not touched. Blocking: start, the reload thread, doctor. References may be taken
 * and dropped by any thread.
 */
#include "pipeline/snapshot.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/redact.h"
#include "pipeline/policy_files.h"
#include "policy/policy.h"
#include "policy/rule_view.h"
#include "snapshot_parts.h"

#define SNAPSHOT_ARENA_BYTES ((size_t)256 * 1024 * 1024)

/*
 * What a request may use: multiples of what comes in and of what may go out. A tree takes up to about 50 bytes per byte of
 * its text (base/json.h); the rest is for canonical forms and the record. Only what is needed is taken.
 */
enum { REQUEST_BODIES = 64, REQUEST_OUTPUTS = 16 };

static enum sandbox_mode
profile_mode(enum executor_profile profile)
{
	switch (profile) {
	case PROFILE_LOCAL:
		return SANDBOX_LOCAL;
	case PROFILE_CONTAINER:
		return SANDBOX_CONTAINER;
	case PROFILE_DEFAULT:
	case PROFILE_NONE:
		break;
	}
	return SANDBOX_NONE;
}

static enum err
fill_values(struct snapshot *s, const struct pipeline_options *o, struct errinfo *ei)
{
	struct span version = o->engine_version.n > 0 ? o->engine_version : SPAN_LIT("0.0.0");

	s->gateway = o->gateway;
	s->idempotency = o->idempotency;
	s->reports = o->reports;
	s->is_stateless = o->runtime.stateless_mode;
	s->engine_version = arena_dup(s->arena, version);
	s->assurance = assurance_level(o);
	s->deployment_mode = o->runtime.deployment_mode;
	s->sandbox_profile = profile_mode(executor_profile_of(&o->executor));
	s->explain_suggestions = o->policy.explain_suggestions;
	s->exec.max_output_bytes = o->executor.max_output_bytes;
	s->exec.max_output_lines = o->executor.max_output_lines;
	s->exec.redactor = s->redactor;
	s->request_bytes_max = (size_t)REQUEST_BODIES * ACTION_BODY_BYTES_MAX +
			       (size_t)REQUEST_OUTPUTS * (size_t)o->executor.max_output_bytes;
	if (s->engine_version.p == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return workspace_open(o->executor.workspace_root, &s->exec.workspace, ei);
}

static enum err
make_counters(struct snapshot *s, struct errinfo *ei)
{
	s->loaded_wall_ns = clock_wall_ns();
	s->rule_hits = ARENA_ARRAY(s->arena, _Atomic uint64_t, policy_count_rules(s->policy));
	return s->rule_hits != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

static enum err
fill_snapshot(struct snapshot *s, const struct pipeline_options *o, struct errinfo *ei)
{
	enum err rc =
		redactor_new(o->redaction.patterns.v, o->redaction.patterns.n, &s->redactor, ei);

	if (rc == OK)
		rc = fill_values(s, o, ei);
	if (rc == OK)
		rc = identity_table_new(
			&o->identity, &o->approvals.approver_principals, &s->identities, ei);
	if (rc == OK)
		rc = identity_open_tokens(s->identities, &o->identity.oidc, o->key_ring, ei);
	if (rc == OK)
		rc = approval_settings_fill(&s->approvals, &o->approvals, s->arena, ei);
	if (rc == OK && o->rate_limits.enabled)
		rc = rate_limits_new(&o->rate_limits, s->arena, &s->rate_limits, ei);
	if (rc == OK)
		rc = policy_files_load(&o->policy, &s->policy, ei);
	return rc == OK ? make_counters(s, ei) : rc;
}

static void
destroy(struct snapshot *s)
{
	workspace_close(&s->exec.workspace);
	policy_unref(&s->policy);
	redactor_free(&s->redactor);
	identity_table_free(&s->identities);
	approval_settings_clear(&s->approvals);
	arena_free(&s->arena);
	if (s->free_source != NULL)
		s->free_source(s->source);
	s->magic = 0;
	mem_free(s);
}

enum err
snapshot_new(const struct pipeline_options *options, struct snapshot **out, struct errinfo *ei)
{
	struct snapshot *s = mem_zalloc(1, sizeof(*s));
	enum err rc;

	*out = NULL;
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->magic = SNAPSHOT_MAGIC;
	s->exec.workspace.root_fd = -1;
	atomic_init(&s->n_refs, 1);
	s->arena = arena_new(SNAPSHOT_ARENA_BYTES);
	rc = s->arena != NULL ? fill_snapshot(s, options, ei) : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc != OK) {
		destroy(s);
		return rc;
	}
	*out = s;
	return OK;
}

void
snapshot_keep_source(struct snapshot *s, void *source, void (*free_source)(void *source))
{
	MUST(s->source == NULL);
	s->source = source;
	s->free_source = free_source;
}

const void *
snapshot_get_source(const struct snapshot *s)
{
	return s->source;
}

struct snapshot *
snapshot_ref(struct snapshot *s)
{
	OBJ_CHECK(s, SNAPSHOT_MAGIC);
	atomic_fetch_add_explicit(&s->n_refs, 1, memory_order_relaxed);
	return s;
}

void
snapshot_unref(struct snapshot **s)
{
	struct snapshot *old = *s;

	if (old == NULL)
		return;
	OBJ_CHECK(old, SNAPSHOT_MAGIC);
	*s = NULL;
	if (atomic_fetch_sub_explicit(&old->n_refs, 1, memory_order_acq_rel) == 1)
		destroy(old);
}

const struct policy *
snapshot_get_policy(const struct snapshot *s)
{
	return s->policy;
}

const char *
snapshot_get_policy_hash(const struct snapshot *s)
{
	return policy_get_hash(snapshot_get_policy(s));
}

const struct redactor *
snapshot_get_redactor(const struct snapshot *s)
{
	return s->redactor;
}

const char *
snapshot_get_assurance(const struct snapshot *s)
{
	return s->assurance;
}

const char *
snapshot_get_deployment_mode(const struct snapshot *s)
{
	static const char *const names[] = {[DEPLOYMENT_UNMANAGED] = "unmanaged",
		[DEPLOYMENT_CI] = "ci",
		[DEPLOYMENT_K8S] = "k8s",
		[DEPLOYMENT_REMOTE_DEV] = "remote_dev"};

	MUST((size_t)s->deployment_mode < ARRAY_LEN(names));
	return names[s->deployment_mode];
}

bool
snapshot_has_approvals(const struct snapshot *s)
{
	return s->approvals.is_enabled;
}

size_t
snapshot_count_plain_keys(const struct snapshot *s)
{
	return s->identities != NULL ? identity_count_plain_keys(s->identities) : 0;
}

int64_t
snapshot_get_loaded_ns(const struct snapshot *s)
{
	return s->loaded_wall_ns;
}

size_t
snapshot_get_concurrency_limit(const struct snapshot *s)
{
	return (size_t)s->gateway.concurrency_limit;
}

void
snapshot_count_rule(const struct snapshot *s, struct span id)
{
	size_t i = policy_find_rule(s->policy, id);

	if (i < policy_count_rules(s->policy))
		atomic_fetch_add_explicit(&s->rule_hits[i], 1, memory_order_relaxed);
}

bool
snapshot_has_public_metrics(const struct snapshot *s)
{
	return s->gateway.metrics_public;
}

enum access_log
snapshot_get_access_log(const struct snapshot *s)
{
	return s->gateway.access_log;
}
