/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything a request needs that a reload can change, built beside the running one, immutable, counted: compiled
 * policy, identities, limits, executor settings, redactor. A request holds one reference from authenticate to
 * respond; runtime/ swaps the current one.
 */
#ifndef PIPELINE_SNAPSHOT_H
#define PIPELINE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/options.h"

struct pipeline_options; /* pipeline/options.h: identity, policy files, rate limits, executor, runtime evidence, redaction */
struct policy;
struct redactor;
struct snapshot;

/*
 * Reads the bundles (blocking: start, the reload thread, doctor), loads keys, compiles, opens the workspace folder.
 * The options are copied. A snapshot without an effective policy is an error. ERR_* with file, line and reason.
 */
MUSTCHECK enum err snapshot_new(
	const struct pipeline_options *options, struct snapshot **out, struct errinfo *ei);
/* What it was made of, for those who compare it with other files: lives as long as the snapshot, then free_source (may be NULL) gets it.
 * Once at most, before anyone else has the snapshot. */
void snapshot_keep_source(struct snapshot *s, void *source, void (*free_source)(void *source));
/* NULL when none was kept. */
const void *snapshot_get_source(const struct snapshot *s);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot **s);

const struct policy *snapshot_get_policy(const struct snapshot *s);
/* Of that policy. */
const char *snapshot_get_policy_hash(const struct snapshot *s);
const struct redactor *snapshot_get_redactor(const struct snapshot *s);
/* "STRONG", "GUARDED", "BEST_EFFORT", "NONE" (nomos-http.md 3.7). */
const char *snapshot_get_assurance(const struct snapshot *s);
/* runtime.deployment_mode, as it is written there; approvals.enabled. */
const char *snapshot_get_deployment_mode(const struct snapshot *s);
bool snapshot_has_approvals(const struct snapshot *s);
/* When it was built, and gateway.concurrency_limit. */
int64_t snapshot_get_loaded_ns(const struct snapshot *s);
size_t snapshot_get_concurrency_limit(const struct snapshot *s);
/* API keys that stand in clear in the configuration (identity.api_keys). */
size_t snapshot_count_plain_keys(const struct snapshot *s);
/* gateway.access_log, metrics_public. */
enum access_log snapshot_get_access_log(const struct snapshot *s);
bool snapshot_has_public_metrics(const struct snapshot *s);

#endif
