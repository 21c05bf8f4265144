/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One audit record being built: members by name, redacted one by one, rendered as canonical JSON
 * with gaps for what only the ledger's thread knows (chain_id, prev_event_hash, seq, timestamp).
 * The same bytes are hashed, stored, sent to sinks and exported (decisions 11). A record is built
 * in the arena of its request; one thread.
 */
#ifndef AUDIT_RECORD_H
#define AUDIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct redactor;

enum record_member {
#define X(id, name, redacted) id,
#include "audit/record_tbl.h"
#undef X
	RECORD__MAX
};

struct record;

/* The rendered record: the bytes between the gaps, in order: up to chain_id, up to
 * prev_event_hash, up to seq, up to timestamp, the rest. Borrowed from the arena. */
#define RECORD_PARTS 5
struct record_text {
	struct span parts[RECORD_PARTS];
};

/* event_type is static text, e.g. "action.decision". NULL when the arena is full. */
MUSTCHECK struct record *record_new(struct arena *a, const char *event_type);
/* Setting an empty text, false, or zero number leaves the member out (as the reference omits
 * them). Text is copied only when redaction changes it, so it must live until record_render. */
void record_set_text(struct record *r, enum record_member m, struct span text);
void record_set_int(struct record *r, enum record_member m, int64_t v);
void record_set_bool(struct record *r, enum record_member m, bool v);
/* v is canonical JSON text. */
void record_set_json(struct record *r, enum record_member m, struct span canonical);

/* Redacts and renders. ERR_TOO_LARGE when the arena is full or the record is over
 * BUF_CAP_RECORD. */
MUSTCHECK enum err record_render(const struct record *r, const struct redactor *redactor,
	struct arena *a, struct record_text *out, struct errinfo *ei);

const char *record_member_name(enum record_member m);

#endif
