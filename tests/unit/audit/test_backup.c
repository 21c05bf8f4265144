/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Copies beside a writer, and a sealed ledger whose successor names it. */
#include "reader_fixture.h"

#include <stdlib.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include "audit/backup.h"
#include "lock.h"

static const struct verify_options no_options;

TEST(a_copy_is_whole_private_and_alone)
{
	const char *path = make_ledger(20, 6);
	const char *dest = beside(test_ramdir(), "/copy.db");
	struct sign_key *key = load_public(path);
	struct verify_options o = {.key = key};
	struct verify_result r;
	struct verify_result original;
	struct errinfo ei;
	struct stat st;

	CHECK_INT(backup_make(path, dest, &o, &r, &ei), OK);
	CHECK(r.is_good);
	CHECK_INT(verify_path(path, NULL, &original), OK);
	CHECK_STR(r.head.hash, original.head.hash);
	CHECK(stat(dest, &st) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(access(beside(dest, "-wal"), F_OK) != 0 && access(beside(dest, "-shm"), F_OK) != 0);
	CHECK(access(beside(dest, "-journal"), F_OK) != 0);
	sign_key_free(&key);
}

/* It opens as a ledger and goes on. */
TEST(a_copy_can_take_the_ledgers_place)
{
	const char *path = make_ledger(3, 100);
	const char *dest = beside(test_ramdir(), "/ledger.db");
	struct ledger_options o;
	struct verify_result r;
	struct errinfo ei;
	struct buf key;

	CHECK_INT(backup_make(path, dest, &no_options, &r, &ei), OK);
	read_text(beside(path, ".key"), &key);
	write_text(beside(dest, ".key"), buf_span(&key));
	buf_fini(&key);
	ledger_options_init(&o);
	o.path = dest;
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "later"), OK);
	ledger_close(&l);
	CHECK_INT(verify_path(dest, NULL, &r), OK);
	CHECK(r.is_good && r.n_records == 7);
}

TEST(nothing_is_overwritten_and_no_half_copy_stays)
{
	const char *path = make_ledger(3, 100);
	const char *dest = beside(test_ramdir(), "/copy");
	struct verify_result r;
	struct errinfo ei;
	struct buf text;

	write_text(dest, SPAN_LIT("mine"));
	CHECK_INT(backup_make(path, dest, &no_options, &r, &ei), ERR_CONFLICT);
	read_text(dest, &text);
	CHECK_SPAN(buf_span(&text), "mine");
	buf_fini(&text);
	CHECK(unlink(dest) == 0 && symlink("elsewhere", dest) == 0);
	CHECK_INT(backup_make(path, dest, &no_options, &r, &ei), ERR_CONFLICT);
	CHECK(unlink(dest) == 0);
	CHECK_INT(backup_make(export_ledger(path, NULL, OK), dest, &no_options, &r, &ei),
		ERR_INVALID);
	CHECK(access(dest, F_OK) != 0);
	CHECK_INT(backup_make(path, path, &no_options, &r, &ei), ERR_CONFLICT);
	CHECK_INT(backup_make(beside(path, ".none"), dest, &no_options, &r, &ei), ERR_NOT_FOUND);
	CHECK(access(dest, F_OK) != 0);
}

TEST(a_broken_ledger_is_copied_and_said_to_be_broken)
{
	const char *path = make_ledger(5, 100);
	const char *dest = beside(test_ramdir(), "/copy");
	struct verify_result r;
	struct errinfo ei;

	run_sql(path, "DELETE FROM records WHERE seq = 3");
	CHECK_INT(backup_make(path, dest, &no_options, &r, &ei), OK);
	CHECK(!r.is_good && r.bad_seq == 3);
	CHECK(access(dest, F_OK) == 0);
}

/* ---- seal ---- */

static uint64_t
start_again(const char *path, struct checkpoint_seal *want)
{
	struct ledger_options o;
	struct buf text;
	struct verify_result r;
	char member[512];

	ledger_options_init(&o);
	o.path = path;
	struct ledger *l = start_ledger(&o);
	ledger_close(&l);
	CHECK_INT(verify_path(path, NULL, &r), OK);
	CHECK(r.is_good);
	read_text(export_ledger(path, NULL, OK), &text);
	snprintf(member, sizeof(member),
		"\"previous_chain\":{\"chain_id\":\"%s\",\"hash\":\"%s\",\"seq\":%llu}",
		want->chain_id, want->at.hash, (unsigned long long)want->at.seq);
	CHECK(strstr(text.p, member) != NULL);
	CHECK(strstr(text.p, "\"reason\":\"the disk was bad\"") != NULL);
	buf_fini(&text);
	return r.n_records;
}

TEST(the_next_chain_names_the_sealed_one)
{
	const char *path = make_ledger(5, 100);
	struct backup_sealed sealed;
	struct verify_result before;
	struct verify_result after;
	struct errinfo ei;

	CHECK_INT(verify_path(path, NULL, &before), OK);
	CHECK_INT(backup_seal(path, "the disk was bad", &sealed, &ei), OK);
	CHECK(access(path, F_OK) != 0 && access(beside(path, ".head"), F_OK) != 0);
	CHECK_STR(sealed.seal.at.hash, before.head.hash);
	CHECK_STR(sealed.seal.chain_id, before.chain_id);
	CHECK_INT(verify_path(sealed.name, NULL, &after), OK);
	CHECK(after.is_good);
	struct sign_key *key = load_public(sealed.name);
	CHECK(key != NULL);
	sign_key_free(&key);
	CHECK_INT(start_again(path, &sealed.seal), 2);
	CHECK(access(beside(path, ".seal"), F_OK) != 0);
}

/* An older copy in the ledger's place: the head file knows more. */
TEST(the_head_file_speaks_for_an_older_copy)
{
	const char *path = make_ledger(5, 100);
	struct backup_sealed sealed;
	struct checkpoint head;
	struct errinfo ei;

	CHECK_INT(checkpoint_read_head(beside(path, ".head"), &head, NULL), OK);
	run_sql(path, "DELETE FROM records WHERE seq > 2");
	CHECK_INT(backup_seal(path, "the disk was bad", &sealed, &ei), OK);
	CHECK_INT(sealed.seal.at.seq, head.at.seq);
	CHECK_STR(sealed.seal.at.hash, head.at.hash);
	(void)start_again(path, &sealed.seal);
}

TEST(a_lost_ledger_and_a_ruined_one_can_be_sealed)
{
	const char *lost = make_ledger(5, 100);
	const char *ruined = make_ledger(5, 100);
	struct backup_sealed sealed;
	struct errinfo ei;

	CHECK(unlink(lost) == 0);
	CHECK_INT(backup_seal(lost, "the disk was bad", &sealed, &ei), OK);
	CHECK(sealed.seal.at.seq > 0);
	(void)start_again(lost, &sealed.seal);
	write_text(ruined, SPAN_LIT("not a database any more"));
	CHECK(unlink(beside(ruined, ".head")) == 0);
	CHECK_INT(backup_seal(ruined, "the disk was bad", &sealed, &ei), OK);
	CHECK_INT(sealed.seal.at.seq, 0);
	struct buf text;
	read_text(sealed.name, &text);
	CHECK_SPAN(buf_span(&text), "not a database any more");
	buf_fini(&text);
	(void)start_again(ruined, &sealed.seal);
}

/* What the last record says must not make a note that keeps the next chain from starting. */
TEST(a_ledger_whose_last_record_is_ruined_can_be_sealed)
{
	const char *path = make_ledger(5, 100);
	struct backup_sealed sealed;
	struct checkpoint head;
	struct errinfo ei;

	CHECK_INT(checkpoint_read_head(beside(path, ".head"), &head, NULL), OK);
	run_sql(path, "UPDATE records SET body = '{\"chain_id\":\"' || replace(hex(zeroblob(16)), "
		      "'0', 'Z') || '\"}' WHERE seq = (SELECT max(seq) FROM records)");
	CHECK_INT(backup_seal(path, "the disk was bad", &sealed, &ei), OK);
	CHECK_INT(sealed.seal.at.seq, head.at.seq);
	CHECK_STR(sealed.seal.chain_id, head.chain_id);
	(void)start_again(path, &sealed.seal);
}

TEST(a_ledger_in_use_a_stranger_and_no_reason_are_refused)
{
	const char *path = make_ledger(1, 100);
	const char *stranger = beside(test_ramdir(), "/letters.txt");
	struct backup_sealed sealed;
	struct errinfo ei;
	char long_reason[CHECKPOINT_REASON_MAX + 2];
	int ready[2];
	int end[2];
	char c = 0;

	memset(long_reason, 'x', sizeof(long_reason));
	long_reason[sizeof(long_reason) - 1] = '\0';
	CHECK_INT(backup_seal(path, "", &sealed, &ei), ERR_INVALID);
	CHECK_INT(backup_seal(path, "  ", &sealed, &ei), ERR_INVALID);
	CHECK_INT(backup_seal(path, long_reason, &sealed, &ei), ERR_INVALID);
	CHECK_INT(backup_seal(path, "\xff", &sealed, &ei), ERR_INVALID);
	CHECK_INT(backup_seal(beside(path, ".none"), "x", &sealed, &ei), ERR_NOT_FOUND);
	write_text(stranger, SPAN_LIT("dear"));
	CHECK_INT(backup_seal(stranger, "x", &sealed, &ei), ERR_INVALID);
	CHECK(access(stranger, F_OK) == 0 && access(beside(stranger, ".lock"), F_OK) != 0);
	CHECK(pipe(ready) == 0 && pipe(end) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = -1;
		close(end[1]);
		MUST(lock_take(beside(path, ".lock"), &fd, &ei) == OK);
		MUST(write(ready[1], "r", 1) == 1);
		_exit(read(end[0], &c, 1) == 0 ? 0 : 1);
	}
	CHECK_INT(read(ready[0], &c, 1), 1);
	CHECK_INT(backup_seal(path, "x", &sealed, &ei), ERR_BUSY);
	CHECK(access(path, F_OK) == 0 && access(beside(path, ".seal"), F_OK) != 0);
	close(end[1]);
	CHECK(waitpid(pid, NULL, 0) == pid);
	close(end[0]);
	close(ready[0]);
	close(ready[1]);
}

SUITE("backup", TEST_ROW(a_copy_is_whole_private_and_alone),
	TEST_ROW(a_copy_can_take_the_ledgers_place),
	TEST_ROW(nothing_is_overwritten_and_no_half_copy_stays),
	TEST_ROW(a_broken_ledger_is_copied_and_said_to_be_broken),
	TEST_ROW(the_next_chain_names_the_sealed_one),
	TEST_ROW(the_head_file_speaks_for_an_older_copy),
	TEST_ROW(a_lost_ledger_and_a_ruined_one_can_be_sealed),
	TEST_ROW(a_ledger_whose_last_record_is_ruined_can_be_sealed),
	TEST_ROW(a_ledger_in_use_a_stranger_and_no_reason_are_refused))
