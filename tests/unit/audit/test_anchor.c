/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a ledger is said to begin: nobody without the key can cut off its first records, what stands
 * below the anchor is shown to nobody, an archive never takes another's name, and a verdict beside a
 * retention that is at work is true or none.
 */
#include <time.h>
#include <unistd.h>

#include "anchor.h"
#include "audit/archive.h"
#include "audit/query.h"
#include "audit/search.h"
#include "audit/store.h"
#include "base/mem.h"
#include "reader_fixture.h"

#define EVERY 4

struct place {
	uint64_t behind; /* the first checkpoint of a record from here on */
	struct checkpoint found;
};

static bool
keep_checkpoint(const struct store_row *row, void *arg)
{
	struct place *p = arg;

	return row->seq <= p->behind || !checkpoint_parse_record(row->body, &p->found);
}

/* The signed checkpoint of the first record at or behind seq that has one. */
static struct checkpoint
checkpoint_from(const char *path, uint64_t seq, enum store_reader_mode mode)
{
	struct place p = {.behind = seq};
	struct store_reader *r = NULL;

	CHECK_INT(store_reader_open(path, mode, &r, NULL), OK);
	CHECK_INT(store_reader_page(r, seq, STORE_PAGE_MAX, keep_checkpoint, &p, NULL, NULL), OK);
	store_reader_free(&r);
	CHECK(p.found.at.seq >= seq);
	return p.found;
}

static void
delete_up_to(const char *path, uint64_t seq)
{
	char sql[80];

	snprintf(sql, sizeof(sql), "DELETE FROM records WHERE seq <= %u", (unsigned)seq);
	run_sql(path, sql);
}

static struct verify_result
verdict_of(const char *path)
{
	struct sign_key *key = load_public(path);
	struct verify_options o = {.key = key};
	struct verify_result result;

	CHECK_INT(verify_path(path, &o, &result), OK);
	sign_key_free(&key);
	return result;
}

TEST(no_checkpoint_is_an_anchor)
{
	const char *path = make_ledger(40, EVERY);
	struct checkpoint cp = checkpoint_from(path, 20, STORE_READ_COPY);
	struct sign_key *key = load_private(path);
	struct ledger_options o;
	struct ledger *l = NULL;
	struct errinfo ei;

	CHECK(checkpoint_is_signed_by(&cp, key));
	CHECK(!anchor_is_signed_by(&cp, key));
	put_anchor(path, &cp);
	delete_up_to(path, cp.at.seq);
	struct verify_result result = verdict_of(path);
	if (result.is_good || !begins(result.reason, "edited: the anchor's signature"))
		FAIL("%s", result.reason);
	(void)export_ledger(path, key, ERR_CORRUPT);
	ledger_options_init(&o);
	o.path = path;
	CHECK_INT(ledger_open(&o, &l, &ei), ERR_CORRUPT);
	ledger_close(&l);
	sign_key_free(&key);
}

/* Retention removes what lies below an anchor: one that another program puts there moves nothing. */
TEST(a_running_ledger_removes_nothing_for_an_anchor_that_is_not_its_own)
{
	const struct timespec pause = {.tv_nsec = 30 * 1000 * 1000};
	struct ledger_options o = options_in(test_ramdir());
	struct verify_result result;

	o.checkpoint_every = EVERY;
	o.retention.records = 1000000;
	o.retention.look_ms = 1;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 20; i++)
		CHECK_INT(append_one(l, "a"), OK);
	struct checkpoint cp = checkpoint_from(o.path, 10, STORE_READ_LIVE);
	put_anchor(o.path, &cp);
	nanosleep(&pause, NULL); /* some looks: none may remove anything, however late they come */
	for (int i = 0; i < 20; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	run_sql(o.path, "DELETE FROM meta WHERE key = 'anchor'");
	result = verdict_of(o.path);
	CHECK(result.is_good);
	CHECK_INT(result.anchor.seq, 0);
	CHECK_INT(result.n_records, result.head.seq);
}

static bool
keep_lowest(const struct store_row *row, void *arg)
{
	*(uint64_t *)arg = row->seq < *(uint64_t *)arg ? row->seq : *(uint64_t *)arg;
	return true;
}

TEST(a_search_shows_nothing_below_the_anchor)
{
	const char *path = make_ledger(40, EVERY);
	struct checkpoint cp = checkpoint_from(path, 20, STORE_READ_COPY);
	struct sign_key *key = load_private(path);
	struct search_options o = {.head = 40};
	struct store_reader *r = NULL;
	struct search_result result;
	struct query *q = NULL;
	struct errinfo ei;

	CHECK_INT(anchor_sign(key, &cp, &cp, &ei), OK);
	put_anchor(path, &cp);
	sign_key_free(&key);
	/* Not one of the chain: no verification looks at it. */
	delete_up_to(path, cp.at.seq);
	run_sql(path, "INSERT INTO records SELECT 5, 0, hash, body FROM records ORDER BY seq DESC "
		      "LIMIT 1");
	CHECK(verdict_of(path).is_good);
	CHECK_INT(query_new(&(struct query_filter){0}, &q, &ei), OK);
	o.query = q;
	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &r, &ei), OK);
	for (int i = 0; i < 2; i++) {
		uint64_t lowest = UINT64_MAX;
		o.is_newest_first = i == 1;
		CHECK_INT(search_run(r, &o, keep_lowest, &lowest, &result, &ei), OK);
		CHECK_INT(lowest, cp.at.seq + 1);
	}
	store_reader_free(&r);
	query_free(&q);
}

TEST(an_archive_never_replaces_another)
{
	const char *path = make_ledger(40, EVERY);
	struct checkpoint cp = checkpoint_from(path, 20, STORE_READ_COPY);
	struct sign_key *key = load_private(path);
	struct archive_order order = {.folder = beside(path, ".archive"),
		.chain_id = cp.chain_id,
		.to = cp.at,
		.key = key};
	char name[ARCHIVE_PATH_MAX];
	struct buf text;
	struct buf after;
	struct errinfo ei;

	CHECK_INT(store_reader_open(path, STORE_READ_COPY, &order.reader, &ei), OK);
	CHECK_INT(archive_write(&order, name, &ei), OK);
	read_text(name, &text);
	/* as it is */
	CHECK_INT(archive_write(&order, name, &ei), OK);
	/* of a run that a backup undid: other records under the same numbers */
	text.p[text.n / 2] ^= 1;
	write_text(name, buf_span(&text));
	CHECK_INT(archive_write(&order, name, &ei), ERR_CONFLICT);
	read_text(name, &after);
	CHECK(span_eq(buf_span(&after), buf_span(&text)));
	buf_fini(&text);
	buf_fini(&after);
	store_reader_free(&order.reader);
	sign_key_free(&key);
}

/* ---- verification beside retention ---- */

struct remover {
	const char *path;
	struct sign_key *key;
	uint64_t upto;
	bool is_signed;
	bool is_done;
};

/* In the middle of the verification. */
static void
remove_rows(void *arg, uint64_t n_records)
{
	struct remover *r = arg;
	struct errinfo ei;

	(void)n_records;
	if (r->is_done)
		return;
	r->is_done = true;
	struct checkpoint cp = checkpoint_from(r->path, r->upto, STORE_READ_LIVE);
	if (r->is_signed)
		CHECK_INT(anchor_sign(r->key, &cp, &cp, &ei), OK);
	put_anchor(r->path, &cp);
	delete_up_to(r->path, cp.at.seq);
}

/* A running ledger, open as a source, and who will remove most of it. */
struct beside {
	struct ledger *l;
	struct source *s;
	struct remover remover;
};

static void
beside_init(struct beside *b, bool is_signed)
{
	struct ledger_options o = options_in(test_ramdir());
	struct errinfo ei;

	b->l = start_ledger(&o);
	for (int n = 0; n < 8000; n++)
		CHECK_INT(append_one(b->l, "a"), OK);
	b->remover = (struct remover){
		.path = o.path, .upto = 6200, .is_signed = is_signed, .key = load_private(o.path)};
	CHECK_INT(source_open(o.path, SOURCE_SHARED, &b->s, &ei), OK);
	CHECK(source_is_live(b->s));
}

static void
beside_fini(struct beside *b)
{
	source_free(&b->s);
	sign_key_free(&b->remover.key);
	ledger_close(&b->l);
}

TEST(records_that_are_archived_meanwhile_are_not_missed)
{
	for (int i = 0; i < 2; i++) {
		struct verify_result result;
		struct errinfo ei;
		struct beside b;
		beside_init(&b, i == 0);
		struct verify_options o = {
			.key = b.remover.key, .progress = remove_rows, .progress_arg = &b.remover};
		enum err rc = verify_source(b.s, &o, &result, &ei);
		CHECK(!result.is_good);
		/* An anchor that somebody else put there is no excuse. */
		CHECK_INT(rc, i == 0 ? ERR_BUSY : OK);
		if (i == 1)
			CHECK(begins(result.reason, "edited: the anchor's signature"));
		beside_fini(&b);
	}
}

TEST(an_export_of_records_that_are_archived_meanwhile_says_so)
{
	for (int i = 0; i < 2; i++) {
		struct export_result result;
		struct errinfo ei;
		struct beside b;
		beside_init(&b, i == 0);
		struct export_options o = {.fd = open("/dev/null", O_WRONLY | O_CLOEXEC),
			.key = b.remover.key,
			.progress = remove_rows,
			.progress_arg = &b.remover};
		CHECK_INT(export_write(b.s, &o, &result, &ei), i == 0 ? ERR_BUSY : OK);
		CHECK(result.bad_seq > b.remover.upto);
		close(o.fd);
		beside_fini(&b);
	}
}

SUITE("anchor", TEST_ROW(no_checkpoint_is_an_anchor),
	TEST_ROW(a_running_ledger_removes_nothing_for_an_anchor_that_is_not_its_own),
	TEST_ROW(a_search_shows_nothing_below_the_anchor),
	TEST_ROW(an_archive_never_replaces_another),
	TEST_ROW(records_that_are_archived_meanwhile_are_not_missed),
	TEST_ROW(an_export_of_records_that_are_archived_meanwhile_says_so))
