/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The other chains that a receiver has: a ledger that stands in the place of another one is found, whatever the receiver was told. */
#include <stdlib.h>

#include "witness_fixture.h"

#define OLD "0123456789abcdef0123456789abcdef"
#define MIDDLE "22222222222222222222222222222222"
#define OTHER_KEY "ffffffffffffffff"
#define SOME_HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* A ledger of three records, and what a receiver has of it. seal: what lies beside it when it begins, or NULL. */
struct case_of {
	const char *ledger;
	char id[CHAIN_ID_HEX + 1];
	char key_id[SIGN_KEY_ID_HEX + 1];
	struct lines lines;
	struct buf old; /* records of the chain OLD, of the same key */
	struct chain_head old_head;
	struct buf told; /* other records */
};

static void
add_record(
	struct buf *b, const char *id, struct chain_head *head, const char *event, const char *more)
{
	struct buf body;
	char hash[SHA256_HEX + 1];

	buf_init(&body, BUF_CAP_RECORD);
	buf_printf(&body, "{\"chain_id\":\"%s\",\"event_type\":\"%s\"", id, event);
	if (head->seq > 0)
		buf_printf(&body, ",\"prev_event_hash\":\"%s\"", head->hash);
	buf_printf(&body, "%s,\"seq\":%" PRIu64 "}", more, head->seq + 1);
	chain_hash(buf_span(&body), span_of(head->hash, head->seq > 0 ? SHA256_HEX : 0), hash);
	CHECK(chain_build_line(buf_span(&body), span_cstr(hash), b));
	buf_add_char(b, '\n');
	head->seq++;
	memcpy(head->hash, hash, sizeof(hash));
	buf_fini(&body);
}

/* Two records. more: other members of the first one, with a comma before each. */
static struct chain_head
add_chain(struct buf *b, const char *id, const char *key_id, const char *more)
{
	struct chain_head head = {0};
	char members[512];

	snprintf(members, sizeof(members), ",\"key_id\":\"%s\"%s", key_id, more);
	add_record(b, id, &head, "chain.start", members);
	add_record(b, id, &head, "x", "");
	return head;
}

static void
case_init(struct case_of *c, const struct checkpoint_seal *seal)
{
	struct ledger_options o = options_in(test_ramdir());
	struct errinfo ei;

	*c = (struct case_of){.ledger = o.path};
	if (seal != NULL)
		CHECK_INT(checkpoint_write_seal(beside(o.path, ".seal"), seal, &ei), OK);
	struct ledger *l = start_ledger(&o);
	CHECK_INT(append_one(l, "a1"), OK);
	ledger_close(&l);
	split(export_ledger(o.path, NULL, OK), &c->lines);
	struct span id = chain_find_member(c->lines.line[0], SPAN_LIT("chain_id"));
	CHECK_INT(id.n, CHAIN_ID_HEX + 2);
	memcpy(c->id, id.p + 1, CHAIN_ID_HEX);
	struct sign_key *key = load_public(o.path);
	memcpy(c->key_id, sign_key_id(key), sizeof(c->key_id));
	sign_key_free(&key);
	buf_init(&c->old, BUF_CAP_FILE);
	buf_init(&c->told, BUF_CAP_FILE);
	c->old_head = add_chain(&c->old, OLD, c->key_id, "");
}

static void
case_fini(struct case_of *c)
{
	buf_fini(&c->lines.text);
	buf_fini(&c->old);
	buf_fini(&c->told);
}

static void
add_part(const struct case_of *c, char part, struct buf *out)
{
	if (part == 'n')
		add_lines(out, &c->lines, 0, c->lines.n - 1, "\n");
	else
		buf_add_span(out, buf_span(part == 'o' ? &c->old : &c->told));
}

/* order: n the ledger's records, o the old chain's, t the others, as the receiver has them. reason NULL: good. */
static struct witness_verdict
check_order(const struct case_of *c, const char *order, const char *accepted, const char *reason)
{
	const char *path = witness_path();
	struct witness_verdict v;
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	for (const char *part = order; *part != '\0'; part++)
		add_part(c, *part, &b);
	write_text(path, buf_span(&b));
	CHECK_INT(compare_witness(c->ledger, path, 0, accepted, &v), OK);
	if (v.is_good != (reason == NULL) || (reason != NULL && strstr(v.reason, reason) == NULL))
		FAIL("%s: wanted %s: good %d: %s", order, reason != NULL ? reason : "good",
			v.is_good, v.reason);
	buf_fini(&b);
	return v;
}

TEST(a_replaced_ledger_is_found_in_any_order)
{
	struct case_of c;

	case_init(&c, NULL);
	check_order(&c, "on", NULL, "does not go on from it");
	struct witness_verdict v = check_order(&c, "no", NULL, "does not go on from it");
	CHECK(begins(v.reason, "replaced: the witness has chain " OLD));
	CHECK_STR(v.unlinked_id, OLD);
	CHECK(!v.has_newer_chain);
	check_order(&c, "no", OLD, NULL);
	check_order(&c, "no", MIDDLE "," OLD, NULL);
	check_order(&c, "no", MIDDLE, "replaced");
	case_fini(&c);
}

TEST(a_chain_that_goes_on_from_this_one_is_newer_in_any_order)
{
	struct case_of c;
	char more[256];

	case_init(&c, NULL);
	snprintf(more, sizeof(more),
		",\"previous_chain\":{\"chain_id\":\"%s\",\"hash\":\"" SOME_HASH "\",\"seq\":9}",
		c.id);
	(void)add_chain(&c.told, MIDDLE, c.key_id, more);
	CHECK(check_order(&c, "nt", NULL, NULL).has_newer_chain);
	CHECK(check_order(&c, "tn", NULL, NULL).has_newer_chain);
	case_fini(&c);
}

/* Whoever replaced the ledger can go on posting under the old chain's name. */
TEST(a_second_first_record_does_not_excuse_a_chain)
{
	static const char *const orders[] = {"ont", "not", "tno", "nto"};
	struct case_of c;

	case_init(&c, NULL);
	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		struct chain_head head = {0};
		buf_reset(&c.told);
		buf_printf(&c.told,
			"{\"chain_id\":\"" OLD "\",\"event_hash\":\"" SOME_HASH
			"\",\"event_type\":\"chain.start\",\"seq\":1,\"stateless\":true}\n");
		check_order(&c, orders[i], NULL, "does not go on from it");
		buf_reset(&c.told);
		buf_printf(&c.told, "{\"chain_id\":\"" OLD "\",\"event_hash\":\"" SOME_HASH
				    "\",\"event_type\":\"chain.start\",\"key_id\":\"" OTHER_KEY
				    "\",\"seq\":1}\n");
		check_order(&c, orders[i], NULL, "does not go on from it");
		buf_reset(&c.told);
		add_record(&c.told, OLD, &head, "chain.start", ",\"stateless\":true");
		check_order(&c, orders[i], NULL, "edited: the witness has two first records");
		head = (struct chain_head){0};
		buf_reset(&c.told);
		add_record(&c.told, OLD, &head, "x", "");
		check_order(&c, orders[i], NULL, "edited: the witness has two first records");
	}
	/* The same one again is none of that. */
	buf_reset(&c.told);
	buf_add_span(&c.told, buf_span(&c.old));
	check_order(&c, "ont", NULL, "does not go on from it");
	case_fini(&c);
}

/* The key of a chain that began before its receiver did is that of its checkpoints. */
TEST(a_checkpoint_that_is_not_as_hashed_names_no_key)
{
	const char *other = make_ledger(1, 1);
	struct sign_key *key = load_public(other);
	struct lines lines;
	struct case_of c;
	struct buf body;
	struct span hash;
	struct chain_fields f;
	char own[SHA256_HEX + 1];

	case_init(&c, NULL);
	split(export_ledger(other, NULL, OK), &lines);
	buf_init(&body, BUF_CAP_RECORD);
	size_t last = lines.n - 2;
	CHECK(chain_parse_line(lines.line[last], &body, &hash));
	char *at = strstr(body.p, sign_key_id(key));
	CHECK(at != NULL && strstr(body.p, "\"checkpoint\"") != NULL);
	memcpy(at, c.key_id, SIGN_KEY_ID_HEX);
	/* Hashed as it was before. */
	CHECK(chain_build_line(buf_span(&body), hash, &c.told));
	buf_add_char(&c.told, '\n');
	CHECK_INT(check_order(&c, "nt", NULL, NULL).n_unlinked, 1);
	/* Hashed rightly: it is of this ledger's key, or of two. */
	buf_reset(&c.told);
	CHECK(chain_read_fields(buf_span(&body), &f));
	chain_hash(buf_span(&body), f.prev_event_hash, own);
	CHECK(chain_build_line(buf_span(&body), span_cstr(own), &c.told));
	buf_add_char(&c.told, '\n');
	check_order(&c, "nt", NULL, "replaced");
	add_lines(&c.told, &lines, 0, last, "\n");
	check_order(&c, "nt", NULL, "two keys of chain");
	check_order(&c, "tn", NULL, "two keys of chain");
	sign_key_free(&key);
	buf_fini(&body);
	buf_fini(&lines.text);
	case_fini(&c);
}

/* A seal that anybody may have written. */
TEST(an_invented_predecessor_does_not_excuse_a_chain)
{
	struct checkpoint_seal seal = {.reason = "a new year"};
	struct case_of c;

	for (size_t i = 0; i < 2; i++) {
		if (i == 1) {
			memcpy(seal.chain_id, MIDDLE, sizeof(seal.chain_id));
			seal.at.seq = 7;
			memcpy(seal.at.hash, SOME_HASH, sizeof(seal.at.hash));
		}
		case_init(&c, &seal);
		check_order(&c, "on", NULL, "is not linked to what the receiver has");
		check_order(&c, "no", NULL, "is not linked to what the receiver has");
		check_order(&c, "no", OLD, NULL);
		case_fini(&c);
	}
}

/* The chain OLD as its ledger would have it. */
static void
seal_old(struct checkpoint_seal *seal, const char *key_id, uint64_t seq, const char *hash)
{
	struct buf b;

	buf_init(&b, BUF_CAP_FILE);
	*seal = (struct checkpoint_seal){
		.chain_id = OLD, .reason = "a new year", .at = add_chain(&b, OLD, key_id, "")};
	seal->at.seq = seq;
	if (hash != NULL)
		memcpy(seal->at.hash, hash, sizeof(seal->at.hash));
	buf_fini(&b);
}

TEST(a_seal_is_held_against_what_the_receiver_has)
{
	struct checkpoint_seal seal;
	struct case_of c;

	seal_old(&seal, OTHER_KEY, 2, NULL);
	case_init(&c, &seal);
	buf_reset(&c.old);
	(void)add_chain(&c.old, OLD, OTHER_KEY, "");
	struct witness_verdict v = check_order(&c, "no", NULL, NULL);
	CHECK_STR(v.previous_id, OLD);
	CHECK_INT(v.previous_seq, 2);
	CHECK_INT(v.n_unlinked + v.n_lost_behind_seal, 0);
	case_fini(&c);
	seal_old(&seal, OTHER_KEY, 2, SOME_HASH);
	case_init(&c, &seal);
	check_order(&c, "no", NULL, "edited: the seal names another record 2 of chain " OLD);
	case_fini(&c);
	seal_old(&seal, OTHER_KEY, 1, SOME_HASH);
	case_init(&c, &seal);
	CHECK_INT(check_order(&c, "on", NULL, NULL).n_lost_behind_seal, 1);
	case_fini(&c);
}

/* This ledger goes on from MIDDLE, and MIDDLE from OLD: each step counts. */
TEST(each_seal_on_the_way_is_held_against_it)
{
	static const struct {
		uint64_t seq;
		const char *hash; /* NULL: the right one */
		const char *reason;
		uint64_t n_lost;
	} rows[] = {{2, NULL, NULL, 0}, {1, SOME_HASH, NULL, 1},
		{2, SOME_HASH, "edited: the seal names another record 2 of chain " OLD, 0}};
	struct checkpoint_seal seal = {.chain_id = MIDDLE, .reason = "again", .at = {.seq = 2}};
	struct case_of c;
	char more[256];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;
		struct chain_head old;
		buf_init(&b, BUF_CAP_FILE);
		old = add_chain(&b, OLD, OTHER_KEY, "");
		snprintf(more, sizeof(more),
			",\"previous_chain\":{\"chain_id\":\"" OLD
			"\",\"hash\":\"%s\",\"seq\":%" PRIu64 "}",
			rows[i].hash != NULL ? rows[i].hash : old.hash, rows[i].seq);
		seal.at = add_chain(&b, MIDDLE, OTHER_KEY, more);
		case_init(&c, &seal);
		buf_add_span(&c.told, buf_span(&b));
		struct witness_verdict v = check_order(&c, "nt", NULL, rows[i].reason);
		CHECK_INT(v.n_lost_behind_seal, rows[i].n_lost);
		CHECK_INT(v.n_unlinked, 0);
		case_fini(&c);
		buf_fini(&b);
	}
}

/* Chains that name each other in a ring end no walk late. */
TEST(a_ring_of_chains_ends)
{
	struct case_of c;
	char more[256];

	case_init(&c, NULL);
	buf_reset(&c.old);
	for (size_t i = 0; i < 2; i++) {
		snprintf(more, sizeof(more),
			",\"previous_chain\":{\"chain_id\":\"%s\",\"hash\":\"" SOME_HASH
			"\",\"seq\":9}",
			i == 0 ? MIDDLE : OLD);
		(void)add_chain(&c.told, i == 0 ? OLD : MIDDLE, c.key_id, more);
	}
	check_order(&c, "nt", NULL, "replaced");
	case_fini(&c);
}

SUITE("witness_lineage", TEST_ROW(a_replaced_ledger_is_found_in_any_order),
	TEST_ROW(a_chain_that_goes_on_from_this_one_is_newer_in_any_order),
	TEST_ROW(a_second_first_record_does_not_excuse_a_chain),
	TEST_ROW(a_checkpoint_that_is_not_as_hashed_names_no_key),
	TEST_ROW(an_invented_predecessor_does_not_excuse_a_chain),
	TEST_ROW(a_seal_is_held_against_what_the_receiver_has),
	TEST_ROW(each_seal_on_the_way_is_held_against_it), TEST_ROW(a_ring_of_chains_ends))
