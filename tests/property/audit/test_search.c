/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * For any history and any filter the search index and reading everything give the same answer, in
 * both directions, page by page, wherever the index ends and wherever the ledger begins. Histories
 * have clocks that jump, values that are long, escaped, alike at the start, missing or no text.
 */
#include <stdio.h>

#include "../../unit/audit/index_fixture.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "store_ops.h"

#define HISTORIES 12
#define FILTERS 40
#define RECORDS_MAX 300
#define BEGIN_WALL_NS (INT64_C(1790000000) * NS_PER_SEC)
#define SPREAD_SECONDS 400

struct dice {
	uint64_t state;
};

static uint32_t
roll(struct dice *d, uint32_t n)
{
	d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(d->state >> 33) % n;
}

#define LONG_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* As texts; how they stand in a record is json_quote's part. */
static const char *const texts[] = {"a", "ab", "abc", "b", "alice", "ali", "al\"ice", "back\\slash",
	"\xc3\xa9t\xc3\xa9", "tab\there", LONG_64, LONG_64 "x", LONG_64 "y", "ALLOW", "DENY",
	"SUCCESS", "a.b", "~", "\x7f"};

static const char *const members[] = {"action_id", "action_type", "agent", "decision", "event_type",
	"principal", "result_classification", "trace_id"};

static void
build_body(struct dice *d, uint64_t seq, int64_t *wall_ns, struct buf *b)
{
	char stamp[CLOCK_TEXT_MAX];

	*wall_ns += ((int64_t)roll(d, 5) - 1) * NS_PER_SEC;
	if (roll(d, 40) == 0) /* the clock is set */
		*wall_ns = BEGIN_WALL_NS + roll(d, SPREAD_SECONDS) * NS_PER_SEC;
	clock_format(*wall_ns, stamp);
	buf_printf(b, "{\"a\":%u", roll(d, 9));
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		uint32_t kind = roll(d, 12);
		if (kind == 0)
			continue;
		buf_printf(b, ",\"%s\":", members[i]);
		if (kind == 1)
			buf_printf(b, "%s", roll(d, 2) == 0 ? "7" : "[\"alice\"]");
		else
			json_quote(b, span_cstr(texts[roll(d, ARRAY_LEN(texts))]));
	}
	buf_printf(b, ",\"seq\":%u,\"timestamp\":\"%s\"}", (unsigned)seq,
		roll(d, 20) == 0 ? "no time" : stamp);
}

/* Rows without a chain: a search judges none. */
static const char *
make_history(struct dice *d, uint64_t *head)
{
	struct ledger_options o;
	struct store *s = NULL;
	struct errinfo ei;
	int64_t wall_ns = BEGIN_WALL_NS;
	uint64_t first = 1 + (roll(d, 3) == 0 ? roll(d, 100) : 0);

	ledger_options_init(&o);
	o.path = ledger_path_in(test_tmpdir());
	o.sync = LEDGER_SYNC_OFF;
	*head = first + roll(d, RECORDS_MAX);
	MUST(store_sqlite_new(&o, &s, &ei) == OK);
	MUST(s->ops->begin(s, &ei) == OK);
	MUST(s->ops->put_meta(s, "chain_id", SPAN_LIT("00112233445566778899aabbccddeeff"), &ei) ==
		OK);
	for (uint64_t seq = first; seq <= *head; seq++) {
		struct store_row row = {.seq = seq};
		struct buf b;
		buf_init(&b, BUF_CAP_RECORD);
		build_body(d, seq, &wall_ns, &b);
		row.body = buf_span(&b);
		chain_hash(row.body, SPAN_NONE, row.hash);
		MUST(s->ops->append(s, &row, &ei) == OK);
		buf_fini(&b);
	}
	MUST(s->ops->commit(s, &ei) == OK);
	s->ops->free(s);
	return o.path;
}

static struct span
pick(struct dice *d, uint32_t one_in)
{
	if (roll(d, one_in) != 0)
		return SPAN_NONE;
	return span_cstr(texts[roll(d, ARRAY_LEN(texts))]);
}

static struct query_filter
pick_filter(struct dice *d)
{
	struct query_filter f = {.action_id = pick(d, 6),
		.principal = pick(d, 4),
		.agent = pick(d, 8),
		.action_type = pick(d, 8),
		.decision = pick(d, 6),
		.class_name = pick(d, 8),
		.event_type = pick(d, 8),
		.trace_prefix = pick(d, 3)};

	if (f.trace_prefix.n > 1)
		f.trace_prefix.n = 1 + roll(d, (uint32_t)f.trace_prefix.n);
	f.has_since = roll(d, 4) == 0;
	f.has_until = roll(d, 4) == 0;
	f.since_wall_ns = BEGIN_WALL_NS + roll(d, SPREAD_SECONDS) * NS_PER_SEC;
	f.until_wall_ns = BEGIN_WALL_NS + roll(d, SPREAD_SECONDS) * NS_PER_SEC;
	if (f.has_since || f.has_until)
		f.contained = pick(d, 4);
	return f;
}

static size_t n_answers;

/* One filter: all at once, then in pages that begin where the last one ended. */
static bool
check_filter(struct dice *d, const char *path, const struct query_filter *f)
{
	bool is_down = roll(d, 2) == 0;
	uint64_t from = roll(d, 3) == 0 ? 1 + roll(d, RECORDS_MAX) : 0;
	size_t limit = 1 + roll(d, 7);
	struct found *want = search(path, NULL, f, is_down, from, 0);
	struct found *got = search(path, path, f, is_down, from, 0);
	bool is_same = is_same_answer(want, got);
	size_t n = 0;

	n_answers += want->n;
	CHECK_INT(want->result.index_head, 0);
	for (bool goes_on = is_same; goes_on;) {
		struct found *page = search(path, path, f, is_down, from, limit);
		is_same = n + page->n <= want->n &&
			  memcmp(page->seqs, want->seqs + n, page->n * sizeof(page->seqs[0])) == 0;
		n += page->n;
		goes_on = is_same && page->n == limit && (!is_down || page->seqs[limit - 1] > 1);
		if (goes_on)
			from = is_down ? page->seqs[limit - 1] - 1 : page->seqs[limit - 1] + 1;
		mem_free(page);
	}
	is_same = is_same && n == want->n;
	mem_free(want);
	mem_free(got);
	return is_same;
}

TEST(index_and_scan_give_the_same_answer)
{
	size_t n_indexed = 0;

	CHECK_INT(hash_init(NULL), OK);
	for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
		struct dice d = {.state = seed};
		uint64_t head = 0;
		const char *path = make_history(&d, &head);
		uint64_t stop_at = roll(&d, 3) == 0 ? roll(&d, (uint32_t)head + 1) : head;
		unsigned shift = 2 + roll(&d, 11);
		uint64_t at = fill_index(path, shift, 1 + roll(&d, 60), stop_at, NULL);
		n_indexed += at > 0;
		for (int i = 0; i < FILTERS; i++) {
			struct query_filter f = pick_filter(&d);
			if (!check_filter(&d, path, &f)) {
				FAIL("history %u, filter %d", (unsigned)seed, i);
				break;
			}
		}
	}
	/* The filters are not all such that nothing matches. */
	CHECK(n_answers > HISTORIES * FILTERS);
	CHECK(n_indexed > HISTORIES / 2);
}

SUITE("search", TEST_ROW(index_and_scan_give_the_same_answer))
