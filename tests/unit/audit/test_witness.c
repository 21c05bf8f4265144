/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a receiver kept against the ledger, and by itself: each form it may have, and each way in which one of the two may lie. */
#include <sys/stat.h>

#include "base/gzip.h"
#include "witness_fixture.h"
#include "witness_ranges.h"

#define N_RECORDS 20
#define EVERY 6

static size_t judged_portion; /* 0: as it is */

static enum err
compare(const char *ledger, const char *path, struct witness_verdict *out)
{
	return compare_witness(ledger, path, judged_portion, NULL, out);
}

static void
check_compared(const char *ledger, const struct buf *text, const char *reason, uint64_t bad_seq)
{
	const char *path = witness_path();
	struct witness_verdict v;

	write_text(path, buf_span(text));
	CHECK_INT(compare(ledger, path, &v), OK);
	if (v.is_good != (reason == NULL) || v.bad_seq != bad_seq ||
		(reason != NULL && !begins(v.reason, reason)))
		FAIL("wanted %s: good %d, record %" PRIu64 ": %s", reason != NULL ? reason : "good",
			v.is_good, v.bad_seq, v.reason);
}

/* Lines, bodies one behind the other, repeats, other lines, packed, in pieces: all the same. */
TEST(each_form_that_a_receiver_may_keep)
{
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	struct lines lines;
	struct buf b;
	struct buf packed;
	struct witness_verdict v;

	split(export_ledger(ledger, NULL, OK), &lines);
	size_t n = lines.n - 1; /* without the trailer */
	buf_init(&b, BUF_CAP_FILE);
	buf_init(&packed, BUF_CAP_FILE);
	add_lines(&b, &lines, 0, n, "\n");
	check_compared(ledger, &b, NULL, 0);
	CHECK_INT(gzip_pack(buf_span(&b), &packed, NULL), OK);
	check_compared(ledger, &packed, NULL, 0);
	buf_reset(&b);
	add_lines(&b, &lines, 0, n, "");
	check_compared(ledger, &b, NULL, 0);
	buf_reset(&b);
	add_lines(&b, &lines, 3, 10, "\r\n");
	BUF_ADD_LIT(&b, "noise {\"seq\":9}\n{\"level\":\"info\"}\n{ cut by a newline \n\n  ");
	add_lines(&b, &lines, 7, n, " ");
	add_lines(&b, &lines, 5, 8, "");
	BUF_ADD_LIT(&b, "{\"chain_id\":\"");
	const char *path = witness_path();
	write_text(path, buf_span(&b));
	CHECK_INT(compare(ledger, path, &v), OK);
	CHECK(v.is_good && v.is_cut && !v.has_newer_chain);
	CHECK_INT(v.first, 4);
	CHECK_INT(v.last, n);
	CHECK_INT(v.n_records, n - 3);
	CHECK_INT(v.n_repeated, 3 + 3);
	buf_fini(&b);
	buf_fini(&packed);
	buf_fini(&lines.text);
}

TEST(a_folder_of_bodies)
{
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	const char *folder = witness_path();
	char name[400];
	struct lines lines;
	struct witness_verdict v;

	split(export_ledger(ledger, NULL, OK), &lines);
	CHECK(mkdir(folder, 0700) == 0);
	for (size_t i = 0; i + 1 < lines.n; i++) {
		snprintf(name, sizeof(name), "%s/%zu.json", folder, i);
		write_text(name, lines.line[i]);
	}
	CHECK_INT(compare(ledger, folder, &v), OK);
	CHECK(v.is_good);
	CHECK_INT(v.n_records, lines.n - 1);
	snprintf(name, sizeof(name), "%s/7.json", folder);
	CHECK(remove(name) == 0);
	CHECK_INT(compare(ledger, folder, &v), OK);
	CHECK(!v.is_good && begins(v.reason, "missing: the witness lacks this record"));
	CHECK_INT(v.bad_seq, 8);
	CHECK_INT(v.n_missing, 1);
	buf_fini(&lines.text);
}

TEST(each_way_to_lie_is_named)
{
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	const char *other = make_ledger(3, EVERY);
	struct lines lines;
	struct lines others;
	struct buf b;

	split(export_ledger(ledger, NULL, OK), &lines);
	split(export_ledger(other, NULL, OK), &others);
	size_t n = lines.n - 1;
	buf_init(&b, BUF_CAP_FILE);
	/* a gap of several */
	add_lines(&b, &lines, 0, 4, "\n");
	add_lines(&b, &lines, 7, n, "\n");
	check_compared(
		ledger, &b, "missing: the witness lacks records from here, up to record 7", 5);
	/* a byte of a record that its hash does not know */
	buf_reset(&b);
	add_lines(&b, &lines, 0, n, "\n");
	char *at = strstr(b.p, "\"seq\":5,");
	CHECK(at != NULL);
	at = strstr(at, "\"timestamp\":\"2");
	CHECK(at != NULL);
	at[13] = '3';
	check_compared(ledger, &b, "edited: what the witness has is not what was hashed", 5);
	/* another chain, and one behind it */
	buf_reset(&b);
	add_lines(&b, &others, 0, others.n - 1, "\n");
	check_compared(ledger, &b, "not here: the witness knows chain ", 0);
	add_lines(&b, &lines, 0, n, "\n");
	check_compared(ledger, &b, NULL, 0);
	/* the ledger was cut */
	run_sql(ledger, "DELETE FROM records WHERE seq > 9");
	check_compared(ledger, &b, "cut off: the witness remembers record ", 0);
	buf_fini(&b);
	buf_fini(&lines.text);
	buf_fini(&others.text);
}

/* A ledger that was written anew from some record on, whole by itself: what a witness is for. */
TEST(a_ledger_that_was_rewritten_is_found)
{
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	struct lines lines;
	struct buf b;
	struct buf body;
	struct span hash;
	struct chain_fields f;
	char own[SHA256_HEX + 1];

	split(export_ledger(ledger, NULL, OK), &lines);
	buf_init(&b, BUF_CAP_FILE);
	buf_init(&body, BUF_CAP_RECORD);
	/* The witness has a last record of its own, hashed rightly. */
	size_t last = lines.n - 2;
	CHECK(chain_parse_line(lines.line[last], &body, &hash));
	char *at = strstr(body.p, "\"timestamp\":\"2");
	CHECK(at != NULL);
	at[13] = '3';
	CHECK(chain_read_fields(buf_span(&body), &f));
	chain_hash(buf_span(&body), f.prev_event_hash, own);
	add_lines(&b, &lines, 0, last, "\n");
	CHECK(chain_build_line(buf_span(&body), span_cstr(own), &b));
	check_compared(ledger, &b, "edited: the witness remembers another record", last + 1);
	/* And one that has both. */
	buf_add_char(&b, '\n');
	add_lines(&b, &lines, 0, lines.n - 1, "\n");
	check_compared(ledger, &b, "edited: the witness has two records of this number", last + 1);
	buf_fini(&b);
	buf_fini(&body);
	buf_fini(&lines.text);
}

static void
judge(const struct buf *text, const struct sign_key *key, struct witness_verdict *v)
{
	static const char *path;
	const struct witness_chain *chains = NULL;
	struct witness *w = NULL;

	if (path == NULL)
		path = witness_path();
	write_text(path, buf_span(text));
	CHECK_INT(witness_open(path, &w, NULL), OK);
	if (judged_portion > 0)
		witness_set_portion(w, judged_portion);
	CHECK_INT(witness_get_chains(w, &chains), 1);
	CHECK_INT(witness_judge(w, chains, key, v, NULL), OK);
	witness_free(&w);
}

TEST(a_witness_is_judged_by_itself)
{
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	const char *other = make_ledger(3, EVERY);
	struct sign_key *key = NULL;
	struct sign_key *wrong = NULL;
	struct lines lines;
	struct witness_verdict v;
	struct buf b;

	split(export_ledger(ledger, NULL, OK), &lines);
	size_t n = lines.n - 1;
	CHECK_INT(checkpoint_load_public_key(beside(ledger, ".pub"), &key, NULL), OK);
	CHECK_INT(checkpoint_load_public_key(beside(other, ".pub"), &wrong, NULL), OK);
	buf_init(&b, BUF_CAP_FILE);
	add_lines(&b, &lines, 0, n, "\n");
	add_lines(&b, &lines, 2, 4, "\n");
	judge(&b, key, &v);
	CHECK(v.is_good);
	CHECK_INT(v.n_repeated, 2);
	CHECK_INT(v.last_checkpoint, n);
	CHECK(v.n_checkpoints >= 3);
	judge(&b, wrong, &v);
	CHECK(!v.is_good && begins(v.reason, "wrong key"));
	/* It may begin anywhere, and records may come in any order; each is linked to the one before it. */
	buf_reset(&b);
	add_lines(&b, &lines, 10, n, "\n");
	add_lines(&b, &lines, 5, 12, "\n");
	judge(&b, key, &v);
	CHECK(v.is_good);
	CHECK_INT(v.first, 6);
	buf_reset(&b);
	add_lines(&b, &lines, 0, 3, "\n");
	add_lines(&b, &lines, 4, n, "\n");
	judge(&b, key, &v);
	CHECK(!v.is_good && begins(v.reason, "missing: the witness lacks this record"));
	CHECK_INT(v.bad_seq, 4);
	sign_key_free(&key);
	sign_key_free(&wrong);
	buf_fini(&b);
	buf_fini(&lines.text);
}

/* A record that is hashed rightly and is not the one that the ledger has. */
static void
add_forged(struct buf *b, struct span line)
{
	struct buf body;
	struct span hash;
	struct chain_fields f;
	char own[SHA256_HEX + 1];

	buf_init(&body, BUF_CAP_RECORD);
	CHECK(chain_parse_line(line, &body, &hash));
	char *at = strstr(body.p, "\"event_type\":\"");
	CHECK(at != NULL);
	at[14] = 'X';
	CHECK(chain_read_fields(buf_span(&body), &f));
	chain_hash(buf_span(&body), f.prev_event_hash, own);
	CHECK(chain_build_line(buf_span(&body), span_cstr(own), b));
	buf_add_char(b, '\n');
	buf_fini(&body);
}

/* More records than fit into memory at once: nothing is judged less well for it. */
TEST(what_is_read_in_portions_is_judged_as_a_whole)
{
	static const size_t portions[] = {4, 5, 7, 8, 16, 1000};
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	struct lines lines;
	struct witness_verdict v;
	struct buf b;

	split(export_ledger(ledger, NULL, OK), &lines);
	size_t n = lines.n - 1;
	buf_init(&b, BUF_CAP_FILE);
	for (size_t i = 0; i < ARRAY_LEN(portions); i++) {
		judged_portion = portions[i];
		/* all of it again, far behind */
		buf_reset(&b);
		add_lines(&b, &lines, 0, n, "\n");
		add_lines(&b, &lines, 0, n, "\n");
		judge(&b, NULL, &v);
		CHECK(v.is_good);
		CHECK_INT(v.n_records, n);
		CHECK_INT(v.n_repeated, n);
		/* backwards, and each half from the other side */
		buf_reset(&b);
		for (size_t k = n; k > 0; k--)
			add_lines(&b, &lines, k - 1, k, "\n");
		judge(&b, NULL, &v);
		CHECK(v.is_good && v.n_records == n);
		buf_reset(&b);
		for (size_t k = 0; k < n; k++) {
			size_t at = k % 2 == 0 ? k / 2 : n - 1 - k / 2;
			add_lines(&b, &lines, at, at + 1, "\n");
		}
		judge(&b, NULL, &v);
		CHECK(v.is_good && v.n_records == n && v.n_repeated == 0);
		check_compared(ledger, &b, NULL, 0);
		/* a fork whose two sides lie far from each other */
		for (size_t k = 0; k < n; k++) {
			buf_reset(&b);
			add_lines(&b, &lines, 0, n, "\n");
			add_forged(&b, lines.line[k]);
			judge(&b, NULL, &v);
			/* Or the next one was read with it, and does not follow it. */
			if (v.is_good || (v.bad_seq != k + 1 && v.bad_seq != k + 2) ||
				!begins(v.reason, "edited: "))
				FAIL("portions of %zu, record %zu: good %d, record %" PRIu64 ": %s",
					portions[i], k + 1, v.is_good, v.bad_seq, v.reason);
		}
		/* a record that the next one does not follow, in any order */
		buf_reset(&b);
		add_lines(&b, &lines, 9, n, "\n");
		add_forged(&b, lines.line[8]);
		add_lines(&b, &lines, 0, 8, "\n");
		judge(&b, NULL, &v);
		CHECK(!v.is_good && v.bad_seq == 10);
		CHECK(begins(v.reason, "edited: what the witness has does not continue"));
		/* a gap */
		buf_reset(&b);
		add_lines(&b, &lines, 9, n, "\n");
		add_lines(&b, &lines, 0, 8, "\n");
		judge(&b, NULL, &v);
		CHECK(!v.is_good && v.bad_seq == 9 && begins(v.reason, "missing"));
	}
	judged_portion = 0;
	buf_fini(&b);
	buf_fini(&lines.text);
}

/* More gaps on the way than there is room to note: records in no order at all. */
TEST(records_in_no_order_are_judged)
{
	enum { N = 2 * WITNESS_RANGES_MAX + 900 };
	struct buf b;
	struct witness_verdict v;
	struct chain_head head = {0};
	static struct span lines[N];
	static size_t ends[N];

	buf_init(&b, (size_t)64 * 1024 * 1024);
	for (size_t i = 0; i < N; i++) {
		char body[512];
		char hash[SHA256_HEX + 1];
		int len = snprintf(body, sizeof(body),
			"{\"chain_id\":\"%032d\",\"event_type\":\"x\",\"prev_event_hash\":\"%s\","
			"\"seq\":%zu}",
			7, head.hash, i + 1);
		if (i == 0)
			len = snprintf(body, sizeof(body),
				"{\"chain_id\":\"%032d\",\"event_type\":\"x\",\"seq\":1}", 7);
		struct span s = span_of(body, (size_t)len);
		chain_hash(s, span_of(head.hash, i > 0 ? SHA256_HEX : 0), hash);
		CHECK(chain_build_line(s, span_cstr(hash), &b));
		buf_add_char(&b, '\n');
		ends[i] = b.n;
		memcpy(head.hash, hash, sizeof(hash));
	}
	for (size_t i = 0; i < N; i++) {
		size_t from = i > 0 ? ends[i - 1] : 0;
		lines[i] = span_of(b.p + from, ends[i] - from);
	}
	struct buf mixed;
	buf_init(&mixed, (size_t)64 * 1024 * 1024);
	for (size_t step = 0; step < 2; step++)
		for (size_t i = step; i < N; i += 2)
			buf_add_span(&mixed, lines[i]);
	judged_portion = 1000;
	judge(&mixed, NULL, &v);
	if (!v.is_good)
		FAIL("record %" PRIu64 ": %s", v.bad_seq, v.reason);
	CHECK_INT(v.n_records, N);
	CHECK_INT(v.n_repeated, 0);
	/* One that is forged is found there as well. */
	add_forged(&mixed, span_of(lines[5000].p, lines[5000].n - 1));
	judge(&mixed, NULL, &v);
	CHECK(!v.is_good && v.bad_seq == 5001);
	judged_portion = 0;
	buf_fini(&mixed);
	buf_fini(&b);
}

/* What was packed from some moment on, or until some moment. */
TEST(packed_and_plain_parts_are_one_witness)
{
	const char *ledger = make_ledger(N_RECORDS, EVERY);
	struct lines lines;
	struct buf b;
	struct buf part;

	split(export_ledger(ledger, NULL, OK), &lines);
	size_t n = lines.n - 1;
	buf_init(&b, BUF_CAP_FILE);
	buf_init(&part, BUF_CAP_FILE);
	for (size_t packed_first = 0; packed_first < 2; packed_first++) {
		buf_reset(&b);
		for (size_t from = 0, i = 0; from < n; from += 5, i++) {
			buf_reset(&part);
			add_lines(&part, &lines, from, from + 5 < n ? from + 5 : n, "\n");
			if (i % 2 == packed_first)
				CHECK_INT(gzip_pack(buf_span(&part), &b, NULL), OK);
			else
				buf_add_span(&b, buf_span(&part));
		}
		check_compared(ledger, &b, NULL, 0);
	}
	buf_fini(&b);
	buf_fini(&part);
	buf_fini(&lines.text);
}

TEST(no_witness_at_all)
{
	const char *path = witness_path();
	struct witness *w = NULL;

	CHECK_INT(witness_open(path, &w, NULL), ERR_NOT_FOUND);
	write_text(path, SPAN_LIT("{}\n{\"seq\":1}\nnoise\n{\"a\":{\"b\":\"}"));
	CHECK_INT(witness_open(path, &w, NULL), ERR_INVALID);
	CHECK(w == NULL);
}

TEST(ranges_merge_and_are_bounded)
{
	static struct witness_ranges r;

	CHECK(witness_ranges_add(&r, 5, 7));
	CHECK(witness_ranges_add(&r, 1, 2));
	CHECK(witness_ranges_add(&r, 10, 10));
	CHECK_INT(r.n, 3);
	CHECK(witness_ranges_has(&r, 1) && witness_ranges_has(&r, 7) && witness_ranges_has(&r, 10));
	CHECK(!witness_ranges_has(&r, 3) && !witness_ranges_has(&r, 8) &&
		!witness_ranges_has(&r, 11) && !witness_ranges_has(&r, 0));
	CHECK(witness_ranges_add(&r, 3, 4));
	CHECK_INT(r.n, 2);
	CHECK(witness_ranges_add(&r, 6, 12));
	CHECK_INT(r.n, 1);
	CHECK_INT(r.v[0].first, 1);
	CHECK_INT(r.v[0].last, 12);
	CHECK_INT(witness_ranges_count(&r), 12);
	for (uint64_t i = 1; i < WITNESS_RANGES_MAX; i++)
		CHECK(witness_ranges_add(&r, 100 * i, 100 * i));
	CHECK(!witness_ranges_add(&r, 50, 50));
	CHECK(witness_ranges_add(&r, 101, 101));
	CHECK_INT(r.n, WITNESS_RANGES_MAX);
	witness_ranges_cover(&r, 50, 50);
	CHECK(witness_ranges_has(&r, 50));
	witness_ranges_cover(&r, 1000000, 1000002);
	CHECK(witness_ranges_has(&r, 1000001));
	CHECK_INT(r.n, WITNESS_RANGES_MAX);
	CHECK_INT(witness_ranges_find(&r, 1000002), WITNESS_RANGES_MAX - 1);
	CHECK_INT(witness_ranges_find(&r, 1000003), WITNESS_RANGES_MAX);
}

SUITE("witness", TEST_ROW(each_form_that_a_receiver_may_keep), TEST_ROW(a_folder_of_bodies),
	TEST_ROW(each_way_to_lie_is_named), TEST_ROW(a_ledger_that_was_rewritten_is_found),
	TEST_ROW(a_witness_is_judged_by_itself),
	TEST_ROW(what_is_read_in_portions_is_judged_as_a_whole),
	TEST_ROW(records_in_no_order_are_judged), TEST_ROW(packed_and_plain_parts_are_one_witness),
	TEST_ROW(no_witness_at_all), TEST_ROW(ranges_merge_and_are_bounded))
