/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a file of records ends and begins with. Blocking; the thread that owns the file. */
#ifndef AUDIT_SINK_FILE_TAIL_H
#define AUDIT_SINK_FILE_TAIL_H

#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"

struct sink_tail {
	uint64_t
		whole; /* bytes up to the end of the last whole line; more than that is a line that was cut */
	uint64_t seq;          /* of that line; 0: there is none, or it is of another chain */
	int64_t begun_wall_ns; /* time of the first record; 0: not known */
};

/* ERR_INVALID: what the file holds was not written by this sink. ERR_IO, ERR_NOMEM. */
MUSTCHECK enum err sink_tail_read(
	int fd, uint64_t size, const char *chain_id, struct sink_tail *out, struct errinfo *ei);

#endif
