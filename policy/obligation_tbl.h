/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * X(ID, key, KIND, min, max): every known obligation (nomos-policy.md 2.9 and our approval ones),
 * ascending by key. min and max are for KIND_INT. Includers define X.
 */
#include <stddef.h>

X(OBLIGATION_APPROVAL_MAX_USES, "approval_max_uses", KIND_INT, 1, 1000000)
X(OBLIGATION_APPROVAL_SCOPE_CLASS, "approval_scope_class", KIND_SCOPE, 0, 0)
X(OBLIGATION_APPROVAL_TTL_SECONDS, "approval_ttl_seconds", KIND_INT, 1, 31536000)
X(OBLIGATION_APPROVERS, "approvers", KIND_APPROVERS, 0, 0)
X(OBLIGATION_BREAKGLASS, "breakglass", KIND_CARRIED, 0, 0)
X(OBLIGATION_CREDENTIAL_LEASE_IDS, "credential_lease_ids", KIND_SET, 0, 0)
X(OBLIGATION_EXEC_ALLOWLIST, "exec_allowlist", KIND_PREFIXES, 0, 0)
X(OBLIGATION_EXEC_CONSTRAINTS, "exec_constraints", KIND_CONSTRAINTS, 0, 0)
X(OBLIGATION_HTTP_REDIRECT_HOP_LIMIT, "http_redirect_hop_limit", KIND_INT, 1, 100)
X(OBLIGATION_HTTP_REDIRECTS, "http_redirects", KIND_BOOL, 0, 0)
X(OBLIGATION_NET_ALLOWLIST, "net_allowlist", KIND_SET, 0, 0)
X(OBLIGATION_OUTPUT_MAX_BYTES, "output_max_bytes", KIND_INT, 0, INT64_MAX)
X(OBLIGATION_OUTPUT_MAX_LINES, "output_max_lines", KIND_INT, 0, INT64_MAX)
X(OBLIGATION_PUBLISH_CHANNEL, "publish_channel", KIND_CARRIED, 0, 0)
X(OBLIGATION_REASON, "reason", KIND_CARRIED, 0, 0)
X(OBLIGATION_SANDBOX_MODE, "sandbox_mode", KIND_SANDBOX, 0, 0)
