/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Wildcards over bytes inside one segment: star any run, question mark one byte, nothing escapes.
 * Private to base.
 */
#ifndef BASE_GLOB_BYTES_H
#define BASE_GLOB_BYTES_H

#include <stdbool.h>

#include "base/span.h"

bool glob_bytes_match(struct span pattern, struct span value);

#endif
