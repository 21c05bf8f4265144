/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of the wildcards, written so that it can be read at a glance: try everything.
 * Exponential, for short texts only. The matchers of base/ are compared with it.
 */
#ifndef TESTS_SUPPORT_GLOB_MODEL_H
#define TESTS_SUPPORT_GLOB_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

/* `*` any bytes, `?` one byte; with escapes, a backslash before * ? \ makes them literal. */
bool model_token(struct span pattern, struct span value, bool has_escapes);
/* Segments between slashes, `**` any number of them; a backslash on either side never matches. */
bool model_resource(struct span pattern, struct span value);
bool model_argv(const struct span *pattern, size_t n_pattern, const struct span *argv, size_t n);

#endif
