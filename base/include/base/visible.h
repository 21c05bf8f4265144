/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Text that others chose, for people: what a terminal would obey or nobody would see is told apart from what stands for itself. Pure; any thread. */
#ifndef BASE_VISIBLE_H
#define BASE_VISIBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct buf;

/* Controls, blanks that are no space, invisible and bidirectional marks, tags, private use; and what is no character. */
bool visible_is_hidden(uint32_t code_point);
/* Appends JSON with what is hidden, and each invalid byte, as \u escapes, but for blanks between its tokens: it stays the same value. */
void visible_add_json(struct buf *out, struct span json);

#endif
