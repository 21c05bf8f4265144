/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a filter, as the command line takes it: one "name value" per line. Whatever it asks, the
 * search index and reading every record give the same answer, in the wanted direction, from the wanted
 * record on. The first byte chooses one of a few fixed histories, the second how many records a page has.
 */
#include <stdint.h>

#include "base/hash.h"
#include "base/must.h"
#include "base/parse.h"
#include "search_history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_HISTORIES 4
#define NOW_WALL_NS (BEGIN_WALL_NS + SPREAD_SECONDS * NS_PER_SEC)

struct history {
	const char *path;
	struct store_reader *reader;
	uint64_t head;
};

static void
index_history(const struct history *h, unsigned shift, uint64_t stop_at)
{
	struct index_writer *w = NULL;
	size_t n = 1;

	MUST(index_writer_open(h->path, h->reader, shift, &w, NULL, NULL) == OK);
	while (n > 0 && index_writer_position(w).seq < stop_at)
		MUST(index_writer_add(w, h->reader, 40, &n, NULL) == OK);
	index_writer_free(&w);
}

static struct history *
open_histories(void)
{
	static struct history all[N_HISTORIES];

	if (all[0].path != NULL)
		return all;
	MUST(hash_init(NULL) == OK);
	for (uint64_t i = 0; i < N_HISTORIES; i++) {
		struct dice d = {.state = i + 1};
		all[i].path = make_history(&d, false, &all[i].head);
		MUST(store_reader_open(all[i].path, STORE_READ_COPY, &all[i].reader, NULL) == OK);
		/* One index has large segments, one covers a part. */
		index_history(
			&all[i], i == 1 ? 12 : SMALL_SHIFT, i == 2 ? all[i].head / 2 : UINT64_MAX);
	}
	return all;
}

struct request {
	struct query_filter filter;
	bool is_newest_first;
	uint64_t from;
};

static void
read_time(struct span value, bool *has, int64_t *wall_ns)
{
	*has = query_parse_time(value, NOW_WALL_NS, wall_ns, NULL) == OK;
}

static void
read_line(struct span line, struct request *r)
{
	const struct {
		const char *name;
		struct span *value;
	} texts[] = {{"trace", &r->filter.trace_prefix}, {"action", &r->filter.action_id},
		{"principal", &r->filter.principal}, {"agent", &r->filter.agent},
		{"action-type", &r->filter.action_type}, {"decision", &r->filter.decision},
		{"class", &r->filter.class_name}, {"type", &r->filter.event_type},
		{"contains", &r->filter.contained}};
	size_t at = span_find(line, ' ');
	struct span name = span_of(line.p, at);
	struct span value = span_from(line, at < line.n ? at + 1 : at);

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (span_eq_cstr(name, texts[i].name))
			*texts[i].value = value;
	}
	if (span_eq_cstr(name, "since"))
		read_time(value, &r->filter.has_since, &r->filter.since_wall_ns);
	else if (span_eq_cstr(name, "until"))
		read_time(value, &r->filter.has_until, &r->filter.until_wall_ns);
	else if (span_eq_cstr(name, "newest"))
		r->is_newest_first = true;
	else if (span_eq_cstr(name, "from") && !parse_uint(value, INT64_MAX, &r->from))
		r->from = 0;
}

static void
answer(const struct history *h, const struct request *r, const struct query *q, bool has_index,
	size_t limit, struct found *out)
{
	const struct search_options o = {.query = q,
		.path = has_index ? h->path : NULL,
		.is_newest_first = r->is_newest_first,
		.from = r->from,
		.head = h->head};
	struct errinfo ei;

	out->n = 0;
	out->limit = limit;
	MUST(search_run(h->reader, &o, add_found, out, &out->result, &ei) == OK);
}

static void
check_order(const struct found *f, const struct request *r)
{
	for (size_t i = 0; i < f->n; i++) {
		if (r->from != 0)
			MUST(r->is_newest_first ? f->seqs[i] <= r->from : f->seqs[i] >= r->from);
		if (i > 0)
			MUST((f->seqs[i] < f->seqs[i - 1]) == r->is_newest_first);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct found scanned;
	static struct found indexed;
	struct request r = {.from = 0};
	struct query *q = NULL;

	if (size < 2)
		return 0;
	const struct history *h = &open_histories()[data[0] % N_HISTORIES];
	size_t limit = data[1] % 16;
	struct span rest = span_of((const char *)data + 2, size - 2);
	while (rest.n > 0) {
		size_t end = span_find(rest, '\n');
		read_line(span_of(rest.p, end), &r);
		rest = span_from(rest, end < rest.n ? end + 1 : end);
	}
	if (query_new(&r.filter, &q, NULL) != OK)
		return 0;
	answer(h, &r, q, false, limit, &scanned);
	answer(h, &r, q, true, limit, &indexed);
	MUST(is_same_answer(&scanned, &indexed));
	check_order(&indexed, &r);
	query_free(&q);
	return 0;
}
