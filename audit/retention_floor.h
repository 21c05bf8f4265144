/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What of a ledger is still needed, and where its next closed segment ends. Reads only. */
#ifndef AUDIT_RETENTION_FLOOR_H
#define AUDIT_RETENTION_FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/ledger_options.h"
#include "base/attr.h"
#include "base/err.h"

struct store_reader;

struct retention_needs {
	struct store_reader *reader;
	const char *head_file;    /* path of `<ledger>.head` */
	const char *const *sinks; /* names */
	size_t n_sinks;
	uint64_t indexed; /* the last record the index has; UINT64_MAX: there is none */
	int64_t now_wall_ns;
	int64_t report_window_ns; /* how long an authorized decision may be reported */
};

/*
 * *out: the last record that nothing needs any more: no sink still has to take it, no claim that
 * holds, no open intent refers to it or to one before it, and the checkpoint of the head file comes
 * behind it. 0: none.
 */
MUSTCHECK enum err retention_find_floor(
	const struct retention_needs *n, uint64_t *out, struct errinfo *ei);
/*
 * The end of the next segment behind *from: the first checkpoint that comes at least
 * segment_records behind it, stands at or below floor, and is old enough by *r. at.seq is 0 when
 * there is none yet.
 */
MUSTCHECK enum err retention_find_end(const struct retention_needs *n,
	const struct ledger_retention_options *r, const struct chain_head *from, uint64_t floor,
	struct checkpoint *out, struct errinfo *ei);

#endif
