/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the verifier finds in ledgers and exports that somebody has changed, and that it names it
 * rightly. */
#include "reader_fixture.h"

#include <stdlib.h>

#include "base/mem.h"

/* 1 chain.start, 2-4 records, 5 checkpoint, 6-8 records, 9 checkpoint, ... of 10 records. */
#define N_RECORDS 10
#define EVERY 4

struct damage {
	const char *name;
	const char *sql;
	uint64_t bad_seq;
	const char *reason;
};

static const struct damage damages[] = {
	{"edited byte",
		"UPDATE records SET body = CAST(replace(CAST(body AS TEXT), 'alice', 'mallo') AS "
		"BLOB) WHERE seq = 6",
		6, "edited"},
	{"edited frame",
		"UPDATE records SET body = CAST(replace(CAST(body AS TEXT), '}', ']') AS BLOB) "
		"WHERE seq = 6",
		6, "edited"},
	{"emptied body", "UPDATE records SET body = x'' WHERE seq = 6", 6, "edited"},
	{"edited hash", "UPDATE records SET hash = zeroblob(32) WHERE seq = 6", 6, "edited"},
	{"deleted row", "DELETE FROM records WHERE seq = 6", 6, "missing: record 6"},
	{"deleted first row", "DELETE FROM records WHERE seq = 1", 1, "missing: record 1"},
	{"swapped rows",
		"UPDATE records SET seq = 1000 WHERE seq = 6; UPDATE records SET seq = 6 WHERE seq "
		"= 7;"
		"UPDATE records SET seq = 7 WHERE seq = 1000",
		6, "reordered: the place of record 6 holds record 7"},
	{"moved behind a deleted row",
		"DELETE FROM records WHERE seq = 6; UPDATE records SET seq = seq - 1 WHERE seq > 6",
		6, "reordered"},
	{"another chain's id",
		"UPDATE records SET body = CAST(replace(CAST(body AS TEXT), '\"chain_id\":\"', "
		"'\"chain_id\":\"0') AS BLOB)"
		" WHERE seq = 6",
		6, "edited: it belongs to another chain"},
};

TEST(a_good_ledger_is_whole)
{
	const char *path = make_ledger(N_RECORDS, EVERY);
	struct sign_key *key = load_public(path);
	struct checkpoint head;
	struct verify_options o = {.key = key, .head_file = &head};
	struct verify_result r;

	CHECK_INT(checkpoint_read_head(beside(path, ".head"), &head, NULL), OK);
	CHECK_INT(verify_path(path, &o, &r), OK);
	CHECK(r.is_good);
	CHECK_STR(r.reason, "");
	CHECK(r.n_checkpoints >= 2);
	CHECK_INT(r.last_checkpoint, r.head.seq); /* the one at close */
	CHECK_INT(head.at.seq, r.last_checkpoint - 1);
	sign_key_free(&key);
}

TEST(damage_to_a_ledger_is_found_and_named)
{
	for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
		const char *path = make_ledger(N_RECORDS, EVERY);
		struct verify_result r;
		run_sql(path, damages[i].sql);
		CHECK_INT(verify_path(path, NULL, &r), OK);
		if (r.is_good || r.bad_seq != damages[i].bad_seq ||
			!begins(r.reason, damages[i].reason))
			FAIL("%s: good %d, record %llu: %s", damages[i].name, r.is_good,
				(unsigned long long)r.bad_seq, r.reason);
	}
}

/* A row that is not even a row of ours ends the reading, but not silently. */
TEST(a_damaged_row_is_no_verdict_of_good)
{
	const char *path = make_ledger(N_RECORDS, EVERY);
	struct verify_result r;

	run_sql(path, "UPDATE records SET hash = x'00' WHERE seq = 6");
	CHECK_INT(verify_path(path, NULL, &r), ERR_CORRUPT);
	CHECK(!r.is_good);
	CHECK_INT(r.head.seq, 5);
}

static void
check_cut(const char *path, const struct verify_options *o, const char *reason)
{
	struct verify_result r;

	CHECK_INT(verify_path(path, o, &r), OK);
	if (r.is_good || !begins(r.reason, reason))
		FAIL("good %d: %s", r.is_good, r.reason);
}

/* The chain of what is left is sound: only what lies elsewhere tells. */
TEST(a_cut_is_found_by_whatever_remembers)
{
	const char *path = make_ledger(N_RECORDS, EVERY);
	struct checkpoint head;
	struct chain_head expected;
	struct verify_result r;

	CHECK_INT(checkpoint_read_head(beside(path, ".head"), &head, NULL), OK);
	CHECK_INT(verify_path(path, NULL, &r), OK);
	expected = r.head;
	struct verify_options all = {.head_file = &head, .expected = &expected};
	CHECK_INT(verify_path(path, &all, &r), OK);
	CHECK(r.is_good);
	run_sql(path, "DELETE FROM records WHERE seq > 6");
	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good); /* by itself it is whole */
	check_cut(path, &(struct verify_options){.head_file = &head}, "cut off: the head file");
	check_cut(path, &(struct verify_options){.expected = &expected}, "cut off: expected");
	expected.seq = 3;
	check_cut(path, &(struct verify_options){.expected = &expected},
		"edited: it is not the record");
}

/* The head file is written after the checkpoint record that it repeats. */
TEST(a_cut_of_the_last_checkpoint_alone_is_found)
{
	const char *path = make_ledger(3, EVERY);
	struct checkpoint head;

	CHECK_INT(checkpoint_read_head(beside(path, ".head"), &head, NULL), OK);
	run_sql(path, "DELETE FROM records WHERE seq = (SELECT max(seq) FROM records)");
	check_cut(path, &(struct verify_options){.head_file = &head}, "cut off: the head file");
}

/* What a stranger wrote in place of a key id does not come out of a terminal. */
TEST(a_key_id_of_no_form_is_not_shown)
{
	const char *path = make_ledger(1, EVERY);
	struct sign_key *key = load_public(make_ledger(1, EVERY));
	struct verify_options o = {.key = key};
	struct verify_result r;

	run_sql(path, "UPDATE records SET body = CAST(replace(CAST(body AS TEXT),"
		      " '\"key_id\":\"', '\"key_id\":\"' || char(27) || '[2J\",\"x\":\"') AS BLOB)"
		      " WHERE seq = 1");
	CHECK_INT(verify_path(path, &o, &r), OK);
	CHECK(!r.is_good);
	CHECK(begins(r.reason, "wrong key: the chain"));
	CHECK(strchr(r.reason, '\033') == NULL);
	sign_key_free(&key);
}

/* A whole chain that another key made does not pass for ours, with and without a checkpoint in it.
 */
TEST(a_wrong_key_is_named)
{
	const char *path = make_ledger(N_RECORDS, EVERY);
	const char *other = make_ledger(1, EVERY);
	struct sign_key *key = load_public(other);
	struct sign_key *private_key = load_private(path);
	struct verify_options o = {.key = key};

	check_cut(path, &o, "wrong key: the chain");
	/* Before the first checkpoint too. */
	run_sql(path, "DELETE FROM records WHERE seq > 3");
	check_cut(path, &o, "wrong key: the chain");
	check_cut(export_ledger(path, private_key, OK), &o, "wrong key");
	sign_key_free(&key);
	sign_key_free(&private_key);
}

TEST(a_head_file_of_another_key_is_named)
{
	const char *path = make_ledger(3, EVERY);
	const char *other = make_ledger(3, EVERY);
	struct sign_key *key = load_public(path);
	struct checkpoint head;
	struct verify_options o = {.key = key, .head_file = &head};

	CHECK_INT(checkpoint_read_head(beside(other, ".head"), &head, NULL), OK);
	check_cut(path, &o, "wrong key: the head file");
	memcpy(head.key_id, sign_key_id(key), sizeof(head.key_id));
	check_cut(path, &o, "edited: the head file's signature");
	sign_key_free(&key);
}

/* ---- exports ---- */

/* The lines whose numbers (from 1) are given, up to 0. */
static void
write_lines(const char *path, const struct lines *l, const unsigned *numbers)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	for (; *numbers != 0; numbers++) {
		buf_add_span(&b, l->line[*numbers - 1]);
		buf_add_char(&b, '\n');
	}
	write_text(path, buf_span(&b));
	buf_fini(&b);
}

/* An export of chain.start, three records and a checkpoint, and the trailer in line 6. */
static const struct {
	const char *name;
	unsigned lines[8];
	uint64_t bad_seq;
	uint64_t bad_line;
	const char *reason;
} arrangements[] = {
	{"whole", {1, 2, 3, 4, 5, 6}, 0, 0, NULL},
	{"no trailer", {1, 2, 3, 4, 5}, 0, 0, "cut off or incomplete"},
	{"cut, trailer kept", {1, 2, 3, 4, 6}, 0, 0, "cut off: the trailer speaks of 5 records"},
	{"trailer alone", {6}, 0, 0, "cut off: there is no record"},
	{"missing line", {1, 2, 4, 5, 6}, 3, 3, "missing: record 3"},
	{"missing first line", {2, 3, 4, 5, 6}, 1, 1, "missing: record 1"},
	{"swapped lines", {1, 3, 2, 4, 5, 6}, 2, 2,
		"reordered: another record is in its place, it comes in line 3"},
	{"doubled line", {1, 2, 3, 3, 4, 5, 6}, 3, 4, "reordered: record 3 comes again"},
	{"record behind the trailer", {1, 2, 3, 4, 5, 6, 5}, 0, 7,
		"edited: lines follow the trailer"},
	{"trailer twice", {1, 2, 3, 4, 5, 6, 6}, 0, 7, "edited: lines follow the trailer"},
	{"trailer in the middle", {1, 2, 3, 6, 4, 5}, 0, 5, "edited: lines follow the trailer"},
};

TEST(rearranged_exports_are_found_and_named)
{
	const char *path = make_ledger(3, 100);
	struct sign_key *private_key = load_private(path);
	struct sign_key *key = load_public(path);
	const char *export = export_ledger(path, private_key, OK);
	struct verify_options o = {.key = key};
	struct lines l;

	split(export, &l);
	CHECK_INT(l.n, 6);
	for (size_t i = 0; i < ARRAY_LEN(arrangements); i++) {
		struct verify_result r;
		write_lines(export, &l, arrangements[i].lines);
		CHECK_INT(verify_path(export, &o, &r), OK);
		bool want = arrangements[i].reason == NULL;
		if (r.is_good != want || r.bad_seq != arrangements[i].bad_seq ||
			r.bad_line != arrangements[i].bad_line ||
			(!want && !begins(r.reason, arrangements[i].reason)))
			FAIL("%s: good %d, record %llu, line %llu: %s", arrangements[i].name,
				r.is_good, (unsigned long long)r.bad_seq,
				(unsigned long long)r.bad_line, r.reason);
		CHECK(!r.is_good || r.is_trailer_signed);
	}
	buf_fini(&l.text);
	sign_key_free(&key);
	sign_key_free(&private_key);
}

TEST(an_export_that_ends_inside_a_line_is_cut_off)
{
	const char *path = make_ledger(3, 100);
	const char *export = export_ledger(path, NULL, OK);
	struct buf text;
	unsigned n_bad = 0;

	read_text(export, &text);
	for (size_t n = 1; n < text.n; n += 7) {
		struct verify_result r;
		write_text(export, span_of(text.p, n));
		CHECK_INT(verify_path(export, NULL, &r), OK);
		/* Only the last newline may be missing. */
		if (r.is_good != (n == text.n - 1) ||
			(!r.is_good && !begins(r.reason, "cut off") &&
				!begins(r.reason, "edited: the trailer")))
			n_bad++;
	}
	CHECK_INT(n_bad, 0);
	buf_fini(&text);
}

TEST(a_signed_trailer_without_a_key_and_an_unsigned_one_with_it)
{
	const char *path = make_ledger(3, 100);
	struct sign_key *private_key = load_private(path);
	struct sign_key *key = load_public(path);
	struct verify_options o = {.key = key};
	struct verify_result r;

	CHECK_INT(verify_path(export_ledger(path, private_key, OK), NULL, &r), OK);
	CHECK(r.is_good && r.has_trailer && r.is_trailer_signed);
	CHECK_INT(verify_path(export_ledger(path, NULL, OK), &o, &r), OK);
	CHECK(r.is_good && r.has_trailer && !r.is_trailer_signed);
	sign_key_free(&key);
	sign_key_free(&private_key);
}

/* Any one bit, in any line, trailer included; only the last newline carries no meaning. */
TEST(each_changed_bit_of_an_export_is_found)
{
	const char *path = make_ledger(2, 100);
	struct sign_key *private_key = load_private(path);
	struct sign_key *key = load_public(path);
	const char *export = export_ledger(path, private_key, OK);
	struct verify_options o = {.key = key};
	struct verify_result r;
	struct buf text;
	unsigned n_missed = 0;

	read_text(export, &text);
	int fd = open(export, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	for (size_t at = 0; at < 8 * (text.n - 1); at++) {
		size_t i = at / 8;
		char changed = (char)(text.p[i] ^ (1 << (at % 8)));
		CHECK_INT(pwrite(fd, &changed, 1, (off_t)i), 1);
		enum err rc = verify_path(export, &o, &r);
		n_missed += rc == OK && r.is_good;
		CHECK_INT(pwrite(fd, text.p + i, 1, (off_t)i), 1);
	}
	close(fd);
	CHECK_INT(n_missed, 0);
	CHECK_INT(verify_path(export, &o, &r), OK);
	CHECK(r.is_good);
	buf_fini(&text);
	sign_key_free(&key);
	sign_key_free(&private_key);
}

static const struct {
	const char *name;
	struct span text;
	enum err rc;
} hostile[] = {
	{"one brace", {"{", 1}, OK},
	{"empty object", {"{}\n", 3}, OK},
	{"NUL in a line", {"{\"seq\":1,\"x\":\"\0\"}\n", 17}, OK},
	{"only NULs", {"{\0\0\0\0\0\0\0\n", 9}, OK},
	{"binary", {"{\xff\xfe\x00\x80\n\x01\x02", 8}, OK},
	{"seq too large", {"{\"seq\":99999999999999999999}\n", 29}, OK},
	{"seq is text", {"{\"seq\":\"1\"}\n", 12}, OK},
	{"mark of a trailer", {"{\"trailer\":\"nomos.export.v1\"}\n", 30}, OK},
	{"deep", {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 43}, OK},
	{"blank lines", {"{}\n\n\n\n", 6}, OK},
	{"nothing", {"", 0}, ERR_INVALID},
	{"not an export", {"hello\n", 6}, ERR_INVALID},
};

TEST(hostile_files_are_never_good)
{
	const char *dir = test_ramdir();
	const char *path = beside(dir, "/hostile.jsonl");
	struct verify_result r;

	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		write_text(path, hostile[i].text);
		enum err rc = verify_path(path, NULL, &r);
		if (rc != hostile[i].rc || r.is_good)
			FAIL("%s: %s, good %d", hostile[i].name, err_name(rc), r.is_good);
	}
	/* A line no record can have is not gathered in memory. */
	struct buf b;
	buf_init(&b, BUF_CAP_FILE);
	buf_add_char(&b, '{');
	char *room = buf_reserve(&b, 4 * BUF_CAP_RECORD);
	CHECK(room != NULL);
	memset(room, 'x', 4 * BUF_CAP_RECORD);
	buf_commit(&b, 4 * BUF_CAP_RECORD);
	write_text(path, buf_span(&b));
	CHECK_INT(verify_path(path, NULL, &r), ERR_TOO_LARGE);
	CHECK(!r.is_good);
	buf_fini(&b);
}

SUITE("verify", TEST_ROW(a_good_ledger_is_whole), TEST_ROW(damage_to_a_ledger_is_found_and_named),
	TEST_ROW(a_damaged_row_is_no_verdict_of_good),
	TEST_ROW(a_cut_is_found_by_whatever_remembers), TEST_ROW(a_wrong_key_is_named),
	TEST_ROW(a_cut_of_the_last_checkpoint_alone_is_found),
	TEST_ROW(a_key_id_of_no_form_is_not_shown), TEST_ROW(a_head_file_of_another_key_is_named),
	TEST_ROW(rearranged_exports_are_found_and_named),
	TEST_ROW(an_export_that_ends_inside_a_line_is_cut_off),
	TEST_ROW(a_signed_trailer_without_a_key_and_an_unsigned_one_with_it),
	TEST_ROW(each_changed_bit_of_an_export_is_found), TEST_ROW(hostile_files_are_never_good))
