/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* When checkpoints are written, what the head file says then, and what a seal leaves to the next chain. */
#include <unistd.h>

#include "audit/checkpoint.h"
#include "base/buf.h"
#include "ledger_file.h"
#include "ledger_fixture.h"

TEST(a_run_without_records_adds_no_checkpoint)
{
	struct ledger_options o = options_in(test_tmpdir());

	for (int i = 0; i < 3; i++) {
		struct ledger *l = start_ledger(&o);
		ledger_close(&l);
	}
	CHECK_INT(dump_file(o.path).n, 2);
}

TEST(checkpoints_come_every_n_records_and_fill_the_head_file)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct checkpoint cp;
	struct sign_key *pub = NULL;
	struct errinfo ei;
	char head[300];
	char pub_path[300];

	o.checkpoint_every = 10;
	struct ledger *l = start_ledger(&o);
	for (int i = 0; i < 35; i++)
		CHECK_INT(append_one(l, "a"), OK);
	ledger_close(&l);
	struct dump d = dump_file(o.path);
	CHECK(d.n_checkpoints >= 4);
	snprintf(head, sizeof(head), "%s.head", o.path);
	snprintf(pub_path, sizeof(pub_path), "%s.pub", o.path);
	CHECK_INT(checkpoint_read_head(head, &cp, &ei), OK);
	CHECK_INT(cp.at.seq, d.n - 1);
	CHECK_INT(checkpoint_load_public_key(pub_path, &pub, &ei), OK);
	CHECK(pub != NULL && checkpoint_is_signed_by(&cp, pub));
	cp.at.seq++;
	CHECK(pub != NULL && !checkpoint_is_signed_by(&cp, pub));
	sign_key_free(&pub);
}

static bool
keep_body(const struct store_row *row, void *arg)
{
	buf_add_span(arg, row->body);
	return false;
}

TEST(a_seal_names_the_chain_before)
{
	struct ledger_options o = options_in(test_tmpdir());
	struct checkpoint_seal seal = {
		.chain_id = "00112233445566778899aabbccddeeff", .at = {.seq = 7}};
	struct checkpoint_seal back;
	struct errinfo ei;
	char path[300];

	snprintf(path, sizeof(path), "%s.seal", o.path);
	memset(seal.at.hash, 'a', SHA256_HEX);
	snprintf(seal.reason, sizeof(seal.reason), "%s", "disk \"lost\"");
	CHECK_INT(checkpoint_write_seal(path, &seal, &ei), OK);
	CHECK_INT(checkpoint_read_seal(path, &back, &ei), OK);
	CHECK_STR(back.reason, seal.reason);
	CHECK_INT(back.at.seq, 7);
	struct ledger *l = start_ledger(&o);
	CHECK(access(path, F_OK) != 0);
	ledger_close(&l);

	struct store_reader *r = NULL;
	struct buf first;
	buf_init(&first, BUF_CAP_RECORD);
	CHECK_INT(store_reader_open(o.path, STORE_READ_COPY, &r, &ei), OK);
	CHECK_INT(store_reader_page(r, 0, 1, keep_body, &first, NULL, &ei), OK);
	store_reader_free(&r);
	struct span previous = chain_find_member(buf_span(&first), SPAN_LIT("previous_chain"));
	CHECK(span_starts(previous,
		SPAN_LIT("{\"chain_id\":\"00112233445566778899aabbccddeeff\",\"hash\":\"aaaa")));
	CHECK(span_ends(previous, SPAN_LIT("\"seq\":7}")));
	CHECK_SPAN(
		chain_find_member(buf_span(&first), SPAN_LIT("reason")), "\"disk \\\"lost\\\"\"");
	buf_fini(&first);
}

SUITE("ledger/checkpoint", TEST_ROW(a_run_without_records_adds_no_checkpoint),
	TEST_ROW(checkpoints_come_every_n_records_and_fill_the_head_file),
	TEST_ROW(a_seal_names_the_chain_before))
