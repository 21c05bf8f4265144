/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The one directive that must not reach libyaml. Pure; any thread. */
#ifndef BASE_YAML_DIRECTIVE_H
#define BASE_YAML_DIRECTIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Whether a line of text begins with "%TAG"; *line (from 0) is the first such line. Every such line
 * counts, also one inside a quoted scalar that goes on at the margin. One pass.
 */
bool yaml_find_tag_directive(struct span text, uint32_t *line);

#endif
