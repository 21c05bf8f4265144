/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a notice says, out of the record of an approval. Pure. */
#ifndef OUTBOUND_NOTICE_TEXT_H
#define OUTBOUND_NOTICE_TEXT_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/span.h"
#include "outbound/notice.h"

struct arena;
struct buf;

struct notice {
	struct span approval_id;
	struct span expires_at;
	struct span fingerprint;
	struct span action_type;
	struct span resource;
	struct span action_id;
	struct span trace_id;
	struct span principal;
	struct span agent;
	struct span environment;
	int64_t expires_ns; /* wall clock */
	int64_t needed;     /* approvers */
};

/* Borrows from record and arena. False when the record cannot be read, or names no approval and its end. */
MUSTCHECK bool notice_read(struct span record, struct arena *a, struct notice *out);
/* The message. Values are cut to a few hundred bytes and hold nothing that a chat would take for markup or direction. */
void notice_build(enum notice_kind kind, const struct notice *n, struct span page, struct buf *out);

#endif
