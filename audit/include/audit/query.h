/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Which records a reader asked for, and a record as one line for people. Both take a body's bytes
 * as they are stored and trust nothing in them. Pure but for the time of query_parse_time; any
 * thread.
 */
#ifndef AUDIT_QUERY_H
#define AUDIT_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;
struct query;

/* All conditions must hold; an empty one always does. */
struct query_filter {
	struct span trace_prefix;
	struct span action_id;
	struct span principal;
	struct span agent;
	struct span environment;
	struct span action_type;
	struct span decision;   /* ASCII case does not count */
	struct span class_name; /* result_classification; likewise */
	struct span event_type;
	bool has_since;
	bool has_until;
	int64_t since_wall_ns; /* at or after */
	int64_t until_wall_ns; /* before */
	struct span contained; /* anywhere in the record's JSON; needs a time */
};

/* Prepares the filter; its texts are copied. ERR_NOMEM, ERR_TOO_LARGE,
 * ERR_INVALID (contained without a time). */
MUSTCHECK enum err query_new(
	const struct query_filter *filter, struct query **out, struct errinfo *ei);
void query_free(struct query **q);
/* A record whose time cannot be read never matches a time. */
bool query_matches(const struct query *q, struct span body);

/* RFC 3339, or a number and s, m, h or d: so long before now_wall_ns. ERR_PARSE. */
MUSTCHECK enum err query_parse_time(
	struct span text, int64_t now_wall_ns, int64_t *out, struct errinfo *ei);

/*
 * Appends seq, time, event, decision, class or reason, principal, action type, resource and action
 * id in columns, no newline. Control characters, invisible and direction-changing ones and
 * backslashes appear as \u{..} and \\, so that nothing in a record can act on a terminal or pass
 * for another column; "-" stands for what is not there.
 */
void query_build_row(uint64_t seq, struct span body, bool has_colour, struct buf *out);

#endif
