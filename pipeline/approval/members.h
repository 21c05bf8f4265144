/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Members of a JSON object that is written by hand: each begins with a comma unless it is the first behind "{". Any thread. */
#ifndef PIPELINE_APPROVAL_MEMBERS_H
#define PIPELINE_APPROVAL_MEMBERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct buf;

void member_add_text(struct buf *b, const char *name, struct span v);
void member_add_time(struct buf *b, const char *name, int64_t wall_ns);
void member_add_int(struct buf *b, const char *name, int64_t v);
void member_add_bool(struct buf *b, const char *name, bool v);
/* json is a value that is written already; empty: the value follows. */
void member_add_json(struct buf *b, const char *name, struct span json);

#endif
