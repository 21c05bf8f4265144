/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What an export does when the ledger, the key or the reader is not as it should be. */
#include "reader_fixture.h"

#include <signal.h>

static enum err
export_to(const char *path, const struct sign_key *key, int fd, struct export_result *result)
{
	struct export_options o = {.fd = fd, .key = key};
	struct source *s = NULL;
	struct errinfo ei;
	enum err rc = source_open(path, SOURCE_SHARED, &s, &ei);

	if (rc == OK)
		rc = export_write(s, &o, result, &ei);
	source_free(&s);
	return rc;
}

static int
open_output(const char *path)
{
	return open(beside(path, ".out"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

TEST(lines_are_the_bytes_that_were_hashed)
{
	const char *path = make_ledger(3, 100);
	struct buf text;

	read_text(export_ledger(path, NULL, OK), &text);
	struct chain_head head = {0};
	struct span rest = buf_span(&text);
	unsigned n = 0;
	for (; rest.n > 0; n++) {
		struct span line = span_of(rest.p, span_find(rest, '\n'));
		struct buf body;
		struct buf again;
		struct span hash;
		rest = span_from(rest, line.n + 1);
		if (trailer_is_line(line))
			break;
		buf_init(&body, BUF_CAP_RECORD);
		buf_init(&again, BUF_CAP_RECORD);
		CHECK(chain_parse_line(line, &body, &hash));
		CHECK_INT(chain_check(NULL, &head, head.seq + 1, buf_span(&body), hash),
			CHAIN_FAULT_NONE);
		CHECK(chain_build_line(buf_span(&body), hash, &again));
		CHECK(span_eq(buf_span(&again), line));
		buf_fini(&body);
		buf_fini(&again);
	}
	CHECK_INT(n, 5);
	CHECK_INT(rest.n, 0);
	buf_fini(&text);
}

TEST(a_broken_chain_is_written_but_never_signed)
{
	const char *path = make_ledger(5, 100);
	struct sign_key *key = load_private(path);
	struct export_result result;
	struct verify_result r;
	int fd = open_output(path);

	run_sql(path, "DELETE FROM records WHERE seq = 3");
	CHECK_INT(export_to(path, key, fd, &result), OK);
	CHECK_INT(result.bad_seq, 4);
	CHECK_INT(result.n_records, 6);
	CHECK_INT(verify_path(beside(path, ".out"), NULL, &r), OK);
	CHECK(!r.is_good && r.bad_seq == 3);
	struct buf text;
	read_text(beside(path, ".out"), &text);
	/* The signature that is there belongs to the checkpoint, none to the trailer. */
	struct span all = buf_span(&text);
	CHECK(span_ends(all, SPAN_LIT(",\"seq\":7,\"trailer\":\"nomos.export.v1\"}\n")));
	buf_fini(&text);
	sign_key_free(&key);
	close(fd);
}

TEST(a_record_that_is_no_line_ends_it_without_a_trailer)
{
	const char *path = make_ledger(5, 100);
	struct export_result result;
	struct verify_result r;
	int fd = open_output(path);

	run_sql(path, "UPDATE records SET body = CAST('no record' AS BLOB) WHERE seq = 3");
	CHECK_INT(export_to(path, NULL, fd, &result), ERR_CORRUPT);
	struct buf text;
	read_text(beside(path, ".out"), &text);
	CHECK(!span_ends(buf_span(&text), SPAN_LIT(TRAILER_DOMAIN "\"}\n")));
	buf_fini(&text);
	enum err rc = verify_path(beside(path, ".out"), NULL, &r);
	CHECK(rc != OK || !r.is_good);
	close(fd);
}

TEST(another_chains_key_is_refused)
{
	const char *path = make_ledger(1, 100);
	struct sign_key *key = load_private(make_ledger(1, 100));
	struct export_result result;
	int fd = open_output(path);

	CHECK_INT(export_to(path, key, fd, &result), ERR_INVALID);
	CHECK_INT(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	sign_key_free(&key);
}

TEST(an_export_or_an_empty_ledger_is_refused)
{
	const char *path = make_ledger(1, 100);
	struct export_result result;
	int fd = open_output(path);

	CHECK_INT(export_to(export_ledger(path, NULL, OK), NULL, fd, &result), ERR_INVALID);
	run_sql(path, "DELETE FROM records");
	CHECK_INT(export_to(path, NULL, fd, &result), ERR_INVALID);
	CHECK_INT(lseek(fd, 0, SEEK_END), 0);
	close(fd);
}

TEST(a_reader_that_went_away_and_a_full_disk_are_errors)
{
	const char *path = make_ledger(1, 100);
	struct export_result result;
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe(ends) == 0);
	close(ends[0]);
	CHECK_INT(export_to(path, NULL, ends[1], &result), ERR_IO);
	close(ends[1]);
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (full >= 0) {
		CHECK_INT(export_to(path, NULL, full, &result), ERR_IO);
		close(full);
	}
}

SUITE("export", TEST_ROW(lines_are_the_bytes_that_were_hashed),
	TEST_ROW(a_broken_chain_is_written_but_never_signed),
	TEST_ROW(a_record_that_is_no_line_ends_it_without_a_trailer),
	TEST_ROW(another_chains_key_is_refused), TEST_ROW(an_export_or_an_empty_ledger_is_refused),
	TEST_ROW(a_reader_that_went_away_and_a_full_disk_are_errors))
