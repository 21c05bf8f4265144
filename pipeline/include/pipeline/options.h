/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of pipeline/, made of the rows in options_tbl.h. The program's root struct holds the
 * same sections under the same names (PIPELINE_SECTIONS) and its own `gateway` with
 * GATEWAY_LIMIT_ROWS among the rows:
 *
 *     #define ROOT_OPTIONS(ROW, T)                                                                \
 *         ROW(T, OBJECT(gateway_options), gateway, .prose = "The listener.")                      \
 *         PIPELINE_SECTIONS(ROW, T)
 *     struct pipeline_options options = {.engine_version = ...};
 *     PIPELINE_OPTIONS_FROM(&options, &root);
 *     snapshot_new(&options, ...);
 */
#ifndef PIPELINE_OPTIONS_H
#define PIPELINE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "config/table.h"
#include "pipeline/approval_options.h"
#include "pipeline/options_tbl.h"
#include "pipeline/principal_options.h"
#include "policy/policy.h"

struct key_ring;

enum deployment_mode {
	DEPLOYMENT_UNMANAGED = 0,
	DEPLOYMENT_CI,
	DEPLOYMENT_K8S,
	DEPLOYMENT_REMOTE_DEV,
};

enum executor_profile { PROFILE_DEFAULT = 0, PROFILE_NONE, PROFILE_LOCAL, PROFILE_CONTAINER };

enum access_log { ACCESS_LOG_OFF = 0, ACCESS_LOG_JSON, ACCESS_LOG_COMBINED };

struct gateway_limits {
	GATEWAY_LIMIT_ROWS(CONFIG_MEMBER, gateway_limits)
};

struct runtime_evidence_section {
	RUNTIME_EVIDENCE_ROWS(CONFIG_MEMBER, runtime_evidence_section)
};

struct runtime_section {
	RUNTIME_ROWS(CONFIG_MEMBER, runtime_section)
};

struct policy_section {
	POLICY_ROWS(CONFIG_MEMBER, policy_section)
};

struct executor_section {
	EXECUTOR_ROWS(CONFIG_MEMBER, executor_section)
};

struct identity_key_section {
	IDENTITY_KEY_ROWS(CONFIG_MEMBER, identity_key_section)
};

struct identity_section {
	IDENTITY_ROWS(CONFIG_MEMBER, identity_section)
};

struct rate_rule_section {
	RATE_RULE_ROWS(CONFIG_MEMBER, rate_rule_section)
};

struct rate_limits_section {
	RATE_LIMITS_ROWS(CONFIG_MEMBER, rate_limits_section)
};

struct redaction_section {
	REDACTION_ROWS(CONFIG_MEMBER, redaction_section)
};

struct idempotency_section {
	IDEMPOTENCY_ROWS(CONFIG_MEMBER, idempotency_section)
};

struct reports_section {
	REPORTS_ROWS(CONFIG_MEMBER, reports_section)
};

struct upstream_section {
	UPSTREAM_ROWS(CONFIG_MEMBER, upstream_section)
};

struct pipeline_options {
	struct gateway_limits gateway;
	PIPELINE_SECTIONS(CONFIG_MEMBER, pipeline_options)
	struct span engine_version; /* of the build, for records and explanations; empty: "0.0.0" */
	/* What fetches the keys of token issuers; NULL: nothing is fetched, and their tokens are refused. */
	struct key_ring *key_ring;
	bool has_durable_sink; /* a ledger file or a webhook takes the records: assurance level */
};

/* The tables, for the OBJECT and LIST rows; checks of one section are among them. */
extern const struct config_object runtime_evidence_section_config;
extern const struct config_object runtime_section_config;
extern const struct config_object policy_section_config;
extern const struct config_object executor_section_config;
extern const struct config_object identity_key_section_config;
extern const struct config_object identity_section_config;
extern const struct config_object rate_rule_section_config;
extern const struct config_object rate_limits_section_config;
extern const struct config_object redaction_section_config;
extern const struct config_object idempotency_section_config;
extern const struct config_object reports_section_config;
extern const struct config_object upstream_section_config;

/* "STRONG", "GUARDED", "BEST_EFFORT", "NONE": what the operator asserts comes to (nomos-http.md 3.7). Static; any thread. */
const char *assurance_level(const struct pipeline_options *options);

#define PIPELINE_COPY_MEMBER(T, kind, field, ...) pipeline_to->field = pipeline_from->field;
#define PIPELINE_COPY_LIMIT(T, kind, field, ...)                                                   \
	pipeline_to->gateway.field = pipeline_from->gateway.field;
/* Copies what pipeline/ reads from a root struct (see above); pointers are shared with it. */
#define PIPELINE_OPTIONS_FROM(to, from)                                                            \
	do {                                                                                       \
		struct pipeline_options *pipeline_to = (to);                                       \
		__typeof__(from) pipeline_from = (from);                                           \
		PIPELINE_SECTIONS(PIPELINE_COPY_MEMBER, pipeline_options)                          \
		GATEWAY_LIMIT_ROWS(PIPELINE_COPY_LIMIT, gateway_limits)                            \
	} while (0)

/*
 * The checks that see more than one section (local_override, approvals in stateless mode): to be
 * called from a check of the root object, with its scope. Config code only.
 */
void pipeline_check_options(const struct pipeline_options *options, struct config_scope *scope);

#endif
