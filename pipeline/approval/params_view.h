/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Parameters as an approver may see them: secrets and members named like secrets are replaced, and each place where
 * something is hidden is named with its length (decisions 28). Pure; any thread.
 */
#ifndef PIPELINE_APPROVAL_PARAMS_VIEW_H
#define PIPELINE_APPROVAL_PARAMS_VIEW_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"

struct arena;
struct buf;
struct json;
struct redactor;

struct params_view {
	struct span resource;
	struct span json; /* the value, redacted */
	struct span
		hidden; /* [{"path":"$.a[0]","length":12}, ...]; at most so many, n_hidden counts all */
	size_t n_hidden;
};
#define PARAMS_HIDDEN_MAX 200

/* Of parameters (NULL: none) and resource. False when the arena is full: nothing may be shown then. */
MUSTCHECK bool params_view_build(const struct json *params, struct span resource,
	const struct redactor *redactor, struct arena *arena, struct params_view *out);

#endif
