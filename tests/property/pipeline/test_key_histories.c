/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories of requests with Idempotency-Keys against a model: first tries and repeats, other actions under the same key, sinks
 * that are late, outcomes that wait, crashes between intent and outcome, expiry, a policy that changes. Whatever
 * comes, a key has at most one effect, and a repeat gets the answer of that one or none.
 */
#include "../../unit/pipeline/fixture.h"

#include "req_state.h"

enum { KEYS = 3, BODIES = 4, HISTORIES = 60, STEPS = 14 };

enum kept { KEPT_NOTHING = 0, KEPT_OPEN, KEPT_UNKNOWN, KEPT_ANSWER };

struct model {
	enum kept kept[KEYS];
	size_t body[KEYS];
	char answer[KEYS][256];
	size_t waiting; /* the key + 1 whose outcome waits for the ledger */
	uint64_t waiting_seq;
	size_t n_effects;
	bool is_denied;
};

static const char *const keys[KEYS] = {"k0", "k1", "k2"};

static uint64_t
next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

static const char *
body_of(size_t i)
{
	switch (i) {
	case 0:
		return fixture_body("payments.list", "pay://shop/1", "{\"n\":1}");
	case 1:
		return fixture_body("payments.list", "pay://shop/1", "{\"n\":2}");
	case 2:
		return fixture_body(
			"fs.write", "file://workspace/out.txt", "{\"content\":\"abc\"}");
	default:
		return fixture_body("fs.read", "file://workspace/missing.txt", "{}");
	}
}

static void
set_policy(struct fixture *f, struct model *m, bool is_denied)
{
	FILE *file = fopen(f->bundle, "wb");
	const char *text =
		is_denied ? "{\"version\":\"v1\",\"rules\":[{\"id\":\"no\",\"action_type\":"
			    "\"*\",\"resource\":\"**\",\"decision\":\"DENY\"}]}"
			  : FIXTURE_RULES;

	MUST(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	m->is_denied = is_denied;
	fixture_reload(f);
}

static void
describe(const struct answer *a, char out[256])
{
	snprintf(out, 256, "%d %d %d %.60s %lld %.60s %.60s", (int)a->verdict, (int)a->reason,
		(int)a->is_external, a->output, (long long)a->bytes_written, a->action_id,
		a->obligations);
}

/* The answer to a key that is taken. */
static void
check_taken(const struct model *m, size_t key, size_t body, const struct answer *a)
{
	char text[256];

	if (m->body[key] != body) {
		CHECK_INT(a->error, REQ_ERROR_KEY_MISMATCH);
		return;
	}
	switch (m->kept[key]) {
	case KEPT_OPEN:
		CHECK_INT(a->error, REQ_ERROR_KEY_IN_PROGRESS);
		return;
	case KEPT_UNKNOWN:
		CHECK_INT(a->error, REQ_ERROR_OUTCOME_UNKNOWN);
		return;
	case KEPT_ANSWER:
		describe(a, text);
		CHECK(a->error == REQ_DECIDED && a->is_replayed);
		CHECK_STR(text, m->answer[key]);
		return;
	case KEPT_NOTHING:
		break;
	}
	FAIL("key %zu is not taken", key);
}

/* fault: of the decision; or, for what we carry out, of the outcome (FAKE_PENDING). */
static void
check_first(struct fixture *f, struct model *m, size_t key, size_t body, enum fake_fault fault,
	const struct answer *a)
{
	CHECK(!a->is_replayed);
	if (fault == FAKE_UNDO) {
		CHECK_INT(a->error, REQ_ERROR_AUDIT);
		m->n_effects++; /* an intent, given back */
		return;
	}
	m->body[key] = body;
	m->n_effects++;
	if (fault == FAKE_PENDING) {
		CHECK_INT(a->error, REQ_ERROR_UNRECORDED);
		m->kept[key] = KEPT_OPEN;
		m->waiting = key + 1;
		m->waiting_seq = f->ledger.n_records;
		return;
	}
	if (body == 3) {
		CHECK_INT(a->error, REQ_ERROR_RESOURCE);
		return;
	}
	CHECK_INT(a->error, REQ_DECIDED);
	m->kept[key] = KEPT_ANSWER;
	describe(a, m->answer[key]);
}

static enum fake_fault
choose_fault(uint64_t *state, const struct model *m, size_t body)
{
	switch (next_random(state) % 6) {
	case 0:
		return FAKE_UNDO;
	case 1:
	case 2:
		return body == 2 && m->waiting == 0 ? FAKE_PENDING : FAKE_OK;
	default:
		return FAKE_OK;
	}
}

static void
send(struct fixture *f, struct model *m, uint64_t *state)
{
	size_t key = next_random(state) % KEYS;
	size_t body = next_random(state) % BODIES;
	bool is_taken = m->kept[key] != KEPT_NOTHING;
	enum fake_fault fault = is_taken || m->is_denied ? FAKE_OK : choose_fault(state, m, body);

	f->idempotency_key = keys[key];
	f->ledger.n_submits = 0;
	f->ledger.faults[0] = fault == FAKE_UNDO ? FAKE_UNDO : FAKE_OK;
	f->ledger.faults[1] = fault == FAKE_PENDING ? FAKE_PENDING : FAKE_OK;
	const struct answer *a = fixture_send(f, body_of(body));
	f->ledger.faults[0] = FAKE_OK;
	f->ledger.faults[1] = FAKE_OK;
	if (m->is_denied)
		CHECK(a->error == REQ_DECIDED && a->verdict == VERDICT_DENY && !a->is_replayed);
	else if (is_taken)
		check_taken(m, key, body, a);
	else
		check_first(f, m, key, body, fault, a);
}

/* The outcome that waits is written after all, or the process ends and the next one closes its intent. */
static void
end_wait(struct fixture *f, struct model *m, bool is_crash)
{
	size_t key = m->waiting - 1;

	if (m->waiting == 0)
		return;
	if (is_crash) {
		f->ledger.closed[f->ledger.n_closed++] = m->waiting_seq;
		m->kept[key] = KEPT_UNKNOWN;
		return; /* what waits is written when the history ends */
	}
	m->waiting = 0;
	fake_ledger_recover(&f->ledger);
	for (int i = 0; i < 4; i++)
		loop_turn(f->loop, false);
	/* The settled claim has its answer, whoever had closed the intent. */
	m->kept[key] = KEPT_ANSWER;
	snprintf(m->answer[key], sizeof(m->answer[key]),
		"%d %d 0  3 a1 {\"sandbox_mode\":\"local\"}", (int)VERDICT_ALLOW,
		(int)REASON_ALLOW_BY_RULE);
}

static void
expire(struct fixture *f, struct model *m)
{
	for (size_t i = 0; i < ARRAY_LEN(f->ledger.claims); i++)
		f->ledger.claims[i].claim.expires_wall_ns = 1;
	for (size_t i = 0; i < KEYS; i++)
		m->kept[i] = m->kept[i] == KEPT_OPEN ? KEPT_OPEN : KEPT_NOTHING;
}

static void
take_step(struct fixture *f, struct model *m, uint64_t *state)
{
	switch (next_random(state) % 16) {
	case 0:
	case 1:
		/* After a crash nothing of the old process is written any more. */
		if (m->waiting != 0 && m->kept[m->waiting - 1] == KEPT_OPEN)
			end_wait(f, m, next_random(state) % 2 == 0);
		return;
	case 2:
		if (m->waiting == 0)
			expire(f, m);
		return;
	case 3:
		set_policy(f, m, !m->is_denied);
		return;
	default:
		send(f, m, state);
	}
}

static size_t
count_intents(const struct ledger *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_records; i++)
		n += l->records[i].state != LEDGER_COMPLETE;
	return n;
}

TEST(no_history_gives_a_key_two_effects)
{
	uint64_t state = 0x9e3779b97f4a7c15u;

	for (int round = 0; round < HISTORIES; round++) {
		struct model m = {.n_effects = 0};
		struct fixture f;
		fixture_init(&f);
		f.options.idempotency = (struct idempotency_section){
			.ttl_seconds = 86400, .max_keys = 100, .max_keys_per_identity = 100};
		fixture_reload(&f);
		for (int step = 0; step < STEPS; step++)
			take_step(&f, &m, &state);
		CHECK_INT(count_intents(&f.ledger), m.n_effects);
		if (m.waiting != 0)
			end_wait(&f, &m, false);
		fixture_fini(&f);
	}
}

SUITE("key_histories", TEST_ROW(no_history_gives_a_key_two_effects))
