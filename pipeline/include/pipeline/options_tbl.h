/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the sections that pipeline/ reads (config/table.h says how rows work; nomos-http.md 3.2,
 * 3.5). GATEWAY_LIMIT_ROWS are members of the section `gateway`, which belongs to the module that
 * listens and puts them beside its own.
 */
#ifndef PIPELINE_OPTIONS_TBL_H
#define PIPELINE_OPTIONS_TBL_H

#include <stddef.h>

#include "pipeline/identity_options_tbl.h"

/* clang-format off */
#define GATEWAY_LIMIT_ROWS(ROW, T) \
	ROW(T, INT, concurrency_limit, .def = "32", .min = 1, .max = 1000000, .unit = "actions", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Authenticated actions that may be in flight at once; one more is answered 429.") \
	ROW(T, INT, overload_wait_ms, .def = "50", .min = 0, .max = 60000, .unit = "ms", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "A queue that makes every request wait longer than this turns new actions away " \
			 "with 503; 0: never.") \
	ROW(T, INT, rate_limit_per_minute, .def = "120", .min = 1, .max = 1000000000, \
		.unit = "requests", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Requests per minute and identity, as a token bucket of that capacity.") \
	ROW(T, ENUM(access_log), access_log, .words = "off|json|combined", .env = CONFIG_ENV, \
		.flags = CONFIG_RELOAD, \
		.prose = "A line for each answer on stderr, without queries: in JSON, or as web servers write it.") \
	ROW(T, BOOL, metrics_public, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "GET /metrics needs no key: for a listener that only the monitoring reaches.") \
	ROW(T, INT, failed_auth_per_minute, .def = "0", .min = 0, .max = 1000000000, \
		.unit = "requests", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Failed authentications per minute and client address (IPv6: one /64); more get 429, valid " \
			 "credentials never do; 0 is no limit.") \
	ROW(T, INT, circuit_breaker_failures, .def = "5", .min = 1, .max = 1000000, \
		.unit = "faults", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Faults of an executor in a row that open the circuit of an identity.") \
	ROW(T, INT, circuit_breaker_cooldown_seconds, .def = "60", .min = 1, .max = 86400, \
		.unit = "seconds", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How long a circuit stays open before one action may try again.")

#define RUNTIME_EVIDENCE_ROWS(ROW, T) \
	ROW(T, BOOL, container_backend_ready, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The operator asserts a working container backend.") \
	ROW(T, BOOL, rootless_or_non_privileged, .env = "NOMOS_RUNTIME_EVIDENCE_ROOTLESS", \
		.flags = CONFIG_RELOAD, .prose = "The operator asserts that nothing runs privileged.") \
	ROW(T, BOOL, read_only_fs, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The operator asserts a read-only root file system.") \
	ROW(T, BOOL, no_new_privileges, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The operator asserts no_new_privs.") \
	ROW(T, BOOL, network_default_deny, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The operator asserts that the network is closed by default.") \
	ROW(T, BOOL, workload_identity_verified, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The operator asserts that workload identities are verified.") \
	ROW(T, BOOL, durable_audit_verified, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The operator asserts that the audit trail is durable.")

#define RUNTIME_ROWS(ROW, T) \
	ROW(T, BOOL, stateless_mode, .env = CONFIG_ENV, \
		.prose = "Run without a ledger file: records go to the sinks only, approvals are off.") \
	ROW(T, BOOL, strong_guarantee, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Ask for the assurance level STRONG, which needs all evidence.") \
	ROW(T, ENUM(deployment_mode), deployment_mode, .words = "unmanaged|ci|k8s|remote_dev", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Where the gateway runs; decides the assurance level.") \
	ROW(T, OBJECT(runtime_evidence_section), evidence, \
		.prose = "What the operator asserts of the host; only labels depend on it.")

#define POLICY_ROWS(ROW, T) \
	ROW(T, PATH, policy_bundle_path, .env = "NOMOS_POLICY_BUNDLE_PATH", \
		.clears = "policy_bundle_paths", .flags = CONFIG_RELOAD, \
		.prose = "The policy bundle, YAML or JSON by its extension. One of the two forms is required.") \
	ROW(T, PATHS, policy_bundle_paths, .max = 64, .env = "NOMOS_POLICY_BUNDLE_PATHS", \
		.clears = "policy_bundle_path", .flags = CONFIG_RELOAD, \
		.prose = "Several bundles, merged in this order.") \
	ROW(T, STRINGS, policy_bundle_roles, .max = 64, \
		.words = "baseline|org|repo|env|local_override", .env = "NOMOS_POLICY_BUNDLE_ROLES", \
		.flags = CONFIG_RELOAD | CONFIG_FOLD, \
		.prose = "One role for each bundle; local_override only for unmanaged development.") \
	ROW(T, BOOL, verify_signatures, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Each bundle needs a valid detached RSA signature, checked before it is decoded.") \
	ROW(T, PATH, signature_path, .env = CONFIG_ENV, .clears = "signature_paths", \
		.flags = CONFIG_RELOAD, .prose = "Signature of the only bundle, base64.") \
	ROW(T, PATHS, signature_paths, .max = 64, .env = CONFIG_ENV, .clears = "signature_path", \
		.flags = CONFIG_RELOAD, .prose = "Signatures in the order of the bundles.") \
	ROW(T, PATH, public_key_path, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "RSA public key (PEM) that bundle signatures must verify with.") \
	ROW(T, ENUM(policy_exec_mode), exec_compatibility_mode, \
		.words = "legacy_allowlist_fallback|strict", .env = CONFIG_ENV, \
		.flags = CONFIG_RELOAD | CONFIG_FOLD, \
		.prose = "Whether the old obligation exec_allowlist still authorises commands.") \
	ROW(T, BOOL, explain_suggestions, .def = "true", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Whether explanations suggest the smallest change that would allow an action.") \
	ROW(T, BOOL, strict_obligations, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Refuse bundles with obligations that are not known.") \
	ROW(T, LATER, opa, .gate = "enabled", .env = "NOMOS_POLICY_OPA_ENABLED", \
		.unbuilt = CONFIG_UNBUILT_REFUSED, \
		.reason = "external evaluators are not built yet, and their denials would be lost", \
		.prose = "An external evaluator that may narrow decisions.")

#define EXECUTOR_ROWS(ROW, T) \
	ROW(T, BOOL, sandbox_enabled, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Makes local the default sandbox profile.") \
	ROW(T, ENUM(executor_profile), sandbox_profile, .words = "default|none|local|container", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD | CONFIG_FOLD, \
		.prose = "Least sandbox of every action, a policy may ask for more; default: local if enabled, else none.") \
	ROW(T, PATH, workspace_root, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Folder behind file://workspace/; the working directory when not set.") \
	ROW(T, INT, max_output_bytes, .def = "65536", .min = 1, .max = 1048576, .unit = "bytes", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Bytes that fs.read returns and fs.write accepts at most.") \
	ROW(T, INT, max_output_lines, .def = "200", .min = 1, .max = 1000000, .unit = "lines", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, .prose = "Lines that fs.read returns at most.")

#define RATE_RULE_ROWS(ROW, T) \
	ROW(T, STRING, id, .max = 128, .prose = "Name of the rule, unique over the three lists.") \
	ROW(T, STRING, principal, .max = 256, .prose = "Exact principal; empty or * is any.") \
	ROW(T, STRING, action_type, .max = 256, .prose = "Exact action type; empty or * is any.") \
	ROW(T, STRING, resource, .prose = "Pattern over the normalised resource; empty is any.") \
	ROW(T, INT, burst, .max = 1000000000, .unit = "tokens", \
		.prose = "Capacity of the bucket, over 0; it starts full.") \
	ROW(T, INT, refill_per_minute, .max = 1000000000, .unit = "tokens", \
		.prose = "Tokens that come back per minute, over 0.")

#define RATE_LIMITS_ROWS(ROW, T) \
	ROW(T, BOOL, enabled, .flags = CONFIG_RELOAD, \
		.prose = "On as soon as there is a rule.") \
	ROW(T, INT, evict_after_seconds, .def = "3600", .max = 31536000, .unit = "seconds", \
		.flags = CONFIG_RELOAD, .prose = "How long a full bucket is kept that nobody uses.") \
	ROW(T, INT, max_buckets, .def = "100000", .min = 1, .max = 10000000, .unit = "buckets", \
		.flags = CONFIG_RELOAD, .prose = "Buckets in memory, of all principals.") \
	ROW(T, INT, max_buckets_per_principal, .def = "10000", .min = 1, .max = 10000000, \
		.unit = "buckets", .flags = CONFIG_RELOAD, \
		.prose = "Buckets that one principal may cause; its new keys are denied behind that.") \
	ROW(T, LIST(rate_rule_section), principal_action, .max = 256, .flags = CONFIG_RELOAD, \
		.prose = "A bucket for each principal and action type.") \
	ROW(T, LIST(rate_rule_section), principal_resource, .max = 256, .flags = CONFIG_RELOAD, \
		.prose = "A bucket for each principal and resource.") \
	ROW(T, LIST(rate_rule_section), global_tool, .max = 256, .flags = CONFIG_RELOAD, \
		.prose = "A bucket for each action type, shared by all principals.")

#define REDACTION_ROWS(ROW, T) \
	ROW(T, STRINGS, patterns, .max = 256, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Regular expressions of secrets, beside the built-in ones.")

#define IDEMPOTENCY_ROWS(ROW, T) \
	ROW(T, INT, ttl_seconds, .def = "86400", .min = 60, .max = 31536000, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How long an Idempotency-Key and its answer are kept.") \
	ROW(T, INT, max_keys, .def = "1000000", .min = 1, .max = 100000000, .unit = "keys", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Keys of all identities; behind that a new one is refused with 429.") \
	ROW(T, INT, max_keys_per_identity, .def = "100000", .min = 1, .max = 100000000, \
		.unit = "keys", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Keys of one principal, agent and environment.") \
	ROW(T, INT, max_action_ids, .def = "65536", .min = 0, .max = 10000000, .unit = "ids", \
		.env = CONFIG_ENV, .prose = "Action ids in memory, so that one is not used again for another action; 0: none.")

#define REPORTS_ROWS(ROW, T) \
	ROW(T, INT, window_seconds, .def = "86400", .min = 60, .max = 31536000, .unit = "seconds", \
		.env = CONFIG_ENV, \
		.prose = "How long the outcome of an action that the caller carries out may be reported.")

#define UPSTREAM_ROWS(ROW, T) \
	ROW(T, LATER, routes, .unbuilt = CONFIG_UNBUILT_REFUSED, \
		.reason = "upstream routes are not built yet, and their allowlist would be lost", \
		.prose = "Where net.http_request may go.") \
	ROW(T, LATER, tool_pins, .unbuilt = CONFIG_UNBUILT_INFO, .reason = "belongs to nomos mcp", \
		.prose = "Pinned tool descriptions of MCP servers.")

/* The sections, for the program's root table. */
#define PIPELINE_SECTIONS(ROW, T) \
	ROW(T, OBJECT(runtime_section), runtime, .prose = "How and where the gateway runs.") \
	ROW(T, OBJECT(policy_section), policy, .prose = "The policy bundles.") \
	ROW(T, OBJECT(executor_section), executor, .prose = "What carries actions out.") \
	ROW(T, OBJECT(identity_section), identity, .prose = "Who may ask, and who acts.") \
	ROW(T, OBJECT(rate_limits_section), rate_limits, .prose = "Token buckets by rule.") \
	ROW(T, OBJECT(redaction_section), redaction, .prose = "Secrets that are taken out of text.") \
	ROW(T, OBJECT(idempotency_section), idempotency, .prose = "What retries get.") \
	ROW(T, OBJECT(reports_section), reports, .prose = "Outcomes that callers report.") \
	ROW(T, OBJECT(upstream_section), upstream, .prose = "Where requests go out to.") \
	ROW(T, LATER, credentials, .gate = "enabled", .env = "NOMOS_CREDENTIALS_ENABLED", \
		.unbuilt = CONFIG_UNBUILT_WARN, \
		.reason = "credentials are not built yet; secrets.checkout is denied", \
		.prose = "Secrets that are leased to actions.") \
	ROW(T, OBJECT(approvals_section), approvals, .prose = "Actions that wait for a person.") \
	ROW(T, LATER, mcp, .gate = "enabled", .env = "NOMOS_MCP_ENABLED", \
		.unbuilt = CONFIG_UNBUILT_INFO, .reason = "belongs to nomos mcp", \
		.prose = "The MCP server.") \
	ROW(T, LATER, hooks, .unbuilt = CONFIG_UNBUILT_INFO, .reason = "belongs to nomos hook", \
		.prose = "Hooks of coding agents.") \
	ROW(T, LATER, tenancy, .gate = "enabled", .unbuilt = CONFIG_UNBUILT_REFUSED, \
		.reason = "tenants are not built yet, and their policies would not be kept apart", \
		.prose = "Several tenants in one gateway.")
/* clang-format on */

#endif
