/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Histories for tests of searches: rows in a ledger's file with clocks that jump, and values that are long, escaped, alike
 * at the start, missing or no text. Static, because each test program is one file. */
#ifndef TESTS_UNIT_AUDIT_SEARCH_HISTORY_H
#define TESTS_UNIT_AUDIT_SEARCH_HISTORY_H

#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "index_fixture.h"
#include "store_ops.h"

#define RECORDS_MAX 300
#define BEGIN_WALL_NS (INT64_C(1790000000) * NS_PER_SEC)
#define SPREAD_SECONDS 400
/* Records of a long history, in which the index leaps over blocks of another time. */
#define STEADY_RECORDS 7000
#define STEADY_STEP_NS (SPREAD_SECONDS * NS_PER_SEC / STEADY_RECORDS)

struct dice {
	uint64_t state;
};

static inline uint32_t
roll(struct dice *d, uint32_t n)
{
	d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(d->state >> 33) % n;
}

#define LONG_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* As texts; how they stand in a record is json_quote's part. */
static const char *const search_texts[] = {"a", "ab", "abc", "b", "alice", "ali", "al\"ice",
	"back\\slash", "\xc3\xa9t\xc3\xa9", "tab\there", LONG_64, LONG_64 "x", LONG_64 "y", "ALLOW",
	"DENY", "SUCCESS", "a.b", "~", "\x7f"};

static const char *const search_members[] = {"action_id", "action_type", "agent", "decision",
	"event_type", "principal", "result_classification", "trace_id"};

static inline void
build_body(struct dice *d, uint64_t seq, bool is_steady, int64_t *wall_ns, struct buf *b)
{
	char stamp[CLOCK_TEXT_MAX];

	*wall_ns +=
		is_steady ? roll(d, 3) * STEADY_STEP_NS : ((int64_t)roll(d, 5) - 1) * NS_PER_SEC;
	if (!is_steady && roll(d, 40) == 0) /* the clock is set */
		*wall_ns = BEGIN_WALL_NS + roll(d, SPREAD_SECONDS) * NS_PER_SEC;
	clock_format(*wall_ns, stamp);
	buf_printf(b, "{\"a\":%u", roll(d, 9));
	for (size_t i = 0; i < ARRAY_LEN(search_members); i++) {
		uint32_t kind = roll(d, 12);
		if (kind == 0)
			continue;
		buf_printf(b, ",\"%s\":", search_members[i]);
		if (kind == 1)
			buf_printf(b, "%s", roll(d, 2) == 0 ? "7" : "[\"alice\"]");
		else
			json_quote(b, span_cstr(search_texts[roll(d, ARRAY_LEN(search_texts))]));
	}
	buf_printf(b, ",\"seq\":%u,\"timestamp\":\"%s\"}", (unsigned)seq,
		roll(d, 20) == 0 ? "no time" : stamp);
}

/* Rows without a chain: a search judges none. */
static inline const char *
make_history(struct dice *d, bool is_steady, uint64_t *head)
{
	struct ledger_options o = options_in(test_ramdir());
	struct store *s = NULL;
	struct errinfo ei;
	int64_t wall_ns = BEGIN_WALL_NS;
	uint64_t first = 1 + (roll(d, 3) == 0 ? roll(d, 100) : 0);

	*head = first + (is_steady ? STEADY_RECORDS : roll(d, RECORDS_MAX));
	MUST(store_sqlite_new(&o, &s, &ei) == OK);
	MUST(s->ops->begin(s, &ei) == OK);
	MUST(s->ops->put_meta(s, "chain_id", SPAN_LIT("00112233445566778899aabbccddeeff"), &ei) ==
		OK);
	for (uint64_t seq = first; seq <= *head; seq++) {
		struct store_row row = {.seq = seq};
		struct buf b;
		buf_init(&b, BUF_CAP_RECORD);
		build_body(d, seq, is_steady, &wall_ns, &b);
		row.body = buf_span(&b);
		chain_hash(row.body, SPAN_NONE, row.hash);
		MUST(s->ops->append(s, &row, &ei) == OK);
		buf_fini(&b);
	}
	MUST(s->ops->commit(s, &ei) == OK);
	s->ops->free(s);
	return o.path;
}

#endif
