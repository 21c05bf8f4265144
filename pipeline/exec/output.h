/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Text on its way to a client: made valid UTF-8, redacted, and only then cut (nomos-http.md 4.11 without its defect, weak spot
 * 34 of nomos-policy.md). Pure; any thread.
 */
#ifndef PIPELINE_OUTPUT_H
#define PIPELINE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct arena;
struct obligations;
struct redactor;

/*
 * How much is read behind the limit, so that a secret that straddles the cut is seen whole by the redactor.
 */
#define OUTPUT_LOOK_AHEAD_BYTES 16384

struct output {
	struct span text; /* what may be shown */
	bool truncated;
	int64_t n_bytes; /* of the source that were within the limits */
	int64_t n_lines;
};

/*
 * source is at least max_bytes + OUTPUT_LOOK_AHEAD_BYTES when is_cut says that more follows, else everything. No byte of the
 * result stems from a secret that only shows behind the limit. False when the arena is full.
 */
MUSTCHECK bool output_limit(const struct redactor *redactor, struct span source, bool is_cut,
	int64_t max_bytes, int64_t max_lines, struct arena *a, struct output *out);
/* Applies output_max_bytes, then output_max_lines, to redacted text. */
void output_apply_obligations(const struct obligations *obligations, struct output *out);

/* How many bytes of text hold its first max_lines lines, line ends included. */
size_t output_line_cut(struct span text, int64_t max_lines);
/* Redacted text; the same span when there is nothing to hide. {NULL, 0} when the arena is full. */
struct span output_redact(const struct redactor *redactor, struct span text, struct arena *a);

#endif
