/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A sink takes the records of the ledger in order, at its own pace, at least once (design.md 4,
 * decisions 22). The ledger runs each on a thread of its own, feeds it from memory while it keeps
 * up and from the store when it does not, and keeps its cursor; an implementation only delivers.
 * A slow sink never delays the writer.
 */
#ifndef AUDIT_SINK_H
#define AUDIT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct sink;

struct sink_record {
	uint64_t seq;
	/* canonical bytes without event_hash; chain_build_line makes the line of an export */
	struct span body;
	struct span event_hash; /* 64 hex digits */
};

struct sink_ops {
	/*
	 * On the sink's thread; may block. Takes a prefix of r[0..n): *n_taken (set to 0 before
	 * the call) says how many were taken for good. They are never shown again in this
	 * process; after a crash some are. OK with *n_taken == n: go on at once. Anything else:
	 * the rest is offered again after a back-off that grows to 30 s and falls back when
	 * something was taken. ERR_INVALID says that r[*n_taken] itself is refused: after SINK_REFUSALS_MAX
	 * of them on one record the ledger records a dead letter and goes on behind it. Spans are valid
	 * during the call only.
	 */
	enum err (*deliver)(struct sink *s, const struct sink_record *r, size_t n, size_t *n_taken,
		struct errinfo *ei);
	/*
	 * May be NULL. Before the sink's thread starts, with the ledger's lock held: *seq is the cursor; an
	 * implementation that can see what it has of this chain says where it really stands. An error
	 * refuses the start.
	 */
	enum err (*resume)(struct sink *s, const char *chain_id, uint64_t *seq, struct errinfo *ei);
	/* Any thread, once, may be NULL: a deliver that is blocked returns soon, later ones do
	 * not block for long. */
	void (*stop)(struct sink *s);
	/* After the sink's thread has ended, or when the ledger could not be opened. */
	void (*free)(struct sink *s);
};

/* Embedded as the first member of an implementation; set before ledger_open, constant
 * afterwards. */
struct sink {
	const struct sink_ops *ops;
	const char *name; /* unique among sinks; keys the cursor. Lives as long as the sink */
	const char *
		target; /* where it goes, for people to read: no secret in it; NULL: the name says it */
	bool is_required; /* counts when ledger_options.required is LEDGER_REQUIRED_NAMED */
	bool is_advisory; /* never counts as required, whatever ledger_options.required says */
	bool from_start;  /* a new cursor starts at the first record instead of the head */
	/* most records per deliver, 1 to SINK_BATCH_MAX; 0 means SINK_BATCH_MAX */
	size_t batch_max;
	int64_t retry_max_ns; /* the longest pause after a failure; 0: 30 s */
};

#define SINK_BATCH_MAX 256
#define SINK_REFUSALS_MAX 5
/* event_type of the record of a dead letter. */
#define SINK_DEAD_LETTER_EVENT "sink.dead_letter"

#endif
