/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Summaries of params in records, and which names mean a secret. Pure. */
#ifndef PIPELINE_SUMMARY_H
#define PIPELINE_SUMMARY_H

#include <stdbool.h>

#include "base/span.h"

struct arena;
struct json;
struct redactor;

/* Bytes of a summary of params or result. */
#define SUMMARY_BYTES_MAX 256

/*
 * Params as canonical text in which strings and names are redacted one by one and the values of members that are named
 * like secrets are masked, then cut. canonical is their canonical form, or empty when there is none; the summary may be
 * a part of it. {NULL, 0} when the arena is full.
 */
struct span summarize_params(const struct json *params, struct span canonical,
	const struct redactor *redactor, struct arena *a);
/* password, api_key, Authorization, ... in any spelling. */
bool is_secret_name(struct span name);

#endif
