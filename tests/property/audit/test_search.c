/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * For any history and any filter the search index and reading everything give the same answer, in
 * both directions, page by page, wherever the index ends and wherever the ledger begins. Histories
 * have clocks that jump, values that are long, escaped, alike at the start, missing or no text.
 */
#include "../../unit/audit/search_history.h"

#define HISTORIES 12
#define FILTERS 40
static struct span
pick(struct dice *d, uint32_t one_in)
{
	if (roll(d, one_in) != 0)
		return SPAN_NONE;
	return span_cstr(search_texts[roll(d, ARRAY_LEN(search_texts))]);
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
		const char *path = make_history(&d, false, &head);
		uint64_t stop_at = roll(&d, 3) == 0 ? roll(&d, (uint32_t)head + 1) : head;
		unsigned shift = 2 + roll(&d, 11);
		size_t batch = roll(&d, 3) == 0 ? STORE_PAGE_MAX : 1 + roll(&d, 60);
		uint64_t at = fill_index(path, shift, batch, stop_at, NULL);
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

static bool
keep_time(const struct store_row *row, void *arg)
{
	struct chain_fields f;

	if (!chain_read_fields(row->body, &f) || clock_parse(f.timestamp, arg, NULL) != OK)
		*(int64_t *)arg = 0;
	return false;
}

/* Times that begin, or end, with the record at the edge of a block. */
TEST(the_edges_of_blocks_are_not_leaped_over)
{
	struct dice d = {.state = 78};
	uint64_t head = 0;
	const char *path = make_history(&d, true, &head);
	struct store_reader *r = open_reader(path);
	size_t n_edges = 0;

	(void)fill_index(path, 14, 1000, UINT64_MAX, NULL);
	for (uint64_t seq = 1023; seq < head; seq += seq % 2 == 1 ? 1 : 1023) {
		int64_t at = 0;
		CHECK_INT(store_reader_page(r, seq - 1, 1, keep_time, &at, NULL, NULL), OK);
		n_edges += at != 0;
		for (int is_down = 0; at != 0 && is_down < 2; is_down++) {
			const struct query_filter f = {.has_since = is_down == 0,
				.since_wall_ns = at,
				.has_until = is_down == 1,
				.until_wall_ns = at + 1};
			struct found *want = search(path, NULL, &f, is_down == 1, 0, 3);
			struct found *got = search(path, path, &f, is_down == 1, 0, 3);
			CHECK(is_same_answer(want, got));
			mem_free(want);
			mem_free(got);
		}
	}
	CHECK(n_edges > 6);
	store_reader_free(&r);
}

TEST(leaps_over_other_times_skip_nothing)
{
	struct dice d = {.state = 77};
	uint64_t head = 0;
	const char *path = make_history(&d, true, &head);

	(void)fill_index(path, 14, 1000, UINT64_MAX, NULL);
	for (int i = 0; i < 60; i++) {
		struct query_filter f = {.principal = pick(&d, 2), .trace_prefix = pick(&d, 3)};
		f.has_since = true;
		f.since_wall_ns = BEGIN_WALL_NS + roll(&d, SPREAD_SECONDS) * NS_PER_SEC;
		f.has_until = roll(&d, 4) != 0;
		f.until_wall_ns = f.since_wall_ns + roll(&d, 60) * NS_PER_SEC;
		struct found *want = search(path, NULL, &f, i % 2 == 0, 0, 0);
		struct found *got = search(path, path, &f, i % 2 == 0, 0, 0);
		if (!is_same_answer(want, got))
			FAIL("filter %d: %zu, not %zu", i, got->n, want->n);
		CHECK_INT(got->result.index_head, head);
		mem_free(want);
		mem_free(got);
	}
}

SUITE("search", TEST_ROW(index_and_scan_give_the_same_answer),
	TEST_ROW(the_edges_of_blocks_are_not_leaped_over),
	TEST_ROW(leaps_over_other_times_skip_nothing))
