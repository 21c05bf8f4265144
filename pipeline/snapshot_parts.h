/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct snapshot, for the files of pipeline/ that use its parts. Immutable once built. */
#ifndef PIPELINE_SNAPSHOT_PARTS_H
#define PIPELINE_SNAPSHOT_PARTS_H

#include <stdatomic.h>
#include <stddef.h>

#include "approval/approval_settings.h"
#include "exec/exec.h"
#include "identity/identity_table.h"
#include "limit/rate_limits.h"
#include "pipeline/options.h"
#include "pipeline/snapshot.h"
#include "policy/decision.h"

struct arena;
struct policy;
struct redactor;

#define SNAPSHOT_MAGIC 0x59a95407u

struct snapshot {
	unsigned magic;
	atomic_size_t n_refs;
	struct arena *arena;
	struct policy *policy;
	struct redactor *redactor;
	struct identity_table *identities;
	const struct rate_limits *rate_limits; /* NULL: none */
	struct exec_settings exec;
	struct gateway_limits gateway;
	struct approval_settings approvals;
	struct idempotency_section idempotency;
	struct reports_section reports;
	bool is_stateless; /* no claims: nothing can be repeated, reported or approved */
	struct span engine_version;
	const char *assurance;
	enum deployment_mode deployment_mode;
	int64_t loaded_wall_ns;
	_Atomic uint64_t *rule_hits; /* by number of the rule */
	enum sandbox_mode
		sandbox_profile; /* of every action; a policy may ask for a stronger one */
	bool explain_suggestions;
	size_t request_bytes_max; /* cap of a request's arena */
	void *source;             /* snapshot_keep_source */
	void (*free_source)(void *source);
};

/* A rule has won. Any loop. */
void snapshot_count_rule(const struct snapshot *s, struct span id);

/* The profile in force: the default depends on executor.sandbox_enabled. */
enum executor_profile executor_profile_of(const struct executor_section *options);

#endif
