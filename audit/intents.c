/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The intents of a chain that have no outcome yet, by their records alone, beside the state that
 * their rows show. Must never take the column's word for a record's. Pure but for its map.
 */
#include "intents.h"

#include "audit/ledger.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parse.h"

struct intent {
	uint64_t seq;
	int state;
};

struct intents {
	struct map *open;                  /* seq -> struct intent: no outcome seen */
	uint64_t stale_seq;                /* its row says open, its outcome was seen; 0: none */
	uint64_t odd_seq;                  /* its state is none of ours; 0: none */
	uint64_t n[LEDGER_AUTHORIZED + 1]; /* rows by state */
	bool is_short;                     /* memory, or the map's bound */
};

static struct span
key_of(const uint64_t *seq)
{
	return span_of((const char *)seq, sizeof(*seq));
}

static void
keep_first(uint64_t *first, uint64_t seq)
{
	if (*first == 0 || seq < *first)
		*first = seq;
}

struct intents *
intents_new(void)
{
	struct intents *in = mem_zalloc(1, sizeof(*in));

	if (in == NULL)
		return NULL;
	in->open = map_new(INTENTS_MAX);
	if (in->open == NULL)
		intents_free(&in);
	return in;
}

void
intents_free(struct intents **in)
{
	if (*in == NULL)
		return;
	map_free(&(*in)->open, mem_free);
	mem_free(*in);
	*in = NULL;
}

static void
add_intent(struct intents *in, uint64_t seq, int state)
{
	struct intent *i = mem_alloc(sizeof(*i));

	if (i == NULL) {
		in->is_short = true;
		return;
	}
	*i = (struct intent){.seq = seq, .state = state};
	if (!map_put(in->open, key_of(&seq), i, NULL)) {
		in->is_short = true;
		mem_free(i);
	}
}

static void
close_intent(struct intents *in, const struct chain_fields *outcome)
{
	uint64_t seq = 0;

	if (!parse_uint(outcome->intent_seq, INT64_MAX, &seq))
		return;
	struct intent *i = map_take(in->open, key_of(&seq));

	if (i != NULL && i->state == LEDGER_OPEN)
		keep_first(&in->stale_seq, seq);
	mem_free(i);
}

/* A decision whose effect is ours says nothing of a result: that is the outcome's part. */
static bool
is_intent(const struct chain_fields *f)
{
	return span_eq_cstr(f->decision, "\"ALLOW\"") && f->result_classification.n == 0;
}

void
intents_see(struct intents *in, uint64_t seq, int state, const struct chain_fields *f)
{
	if (state < LEDGER_COMPLETE || state > LEDGER_AUTHORIZED)
		keep_first(&in->odd_seq, seq);
	else
		in->n[state]++;
	if (span_eq_cstr(f->event_type, "action.decision") && is_intent(f))
		add_intent(in, seq, state);
	else if (span_eq_cstr(f->event_type, "action.completed"))
		close_intent(in, f);
}

void
intents_see_later(struct intents *in, struct span body)
{
	struct chain_fields f;

	if (chain_read_fields(body, &f) && span_eq_cstr(f.event_type, "action.completed"))
		close_intent(in, &f);
}

uint64_t
intents_count(const struct intents *in, int state)
{
	return in->n[state];
}

void
intents_forgive_open(struct intents *in)
{
	in->stale_seq = 0;
}

/* A row that says anything but open, though the chain has no outcome. */
static bool
find_hidden(struct span key, void *value, void *arg)
{
	const struct intent *i = value;

	(void)key;
	if (i->state != LEDGER_OPEN)
		keep_first(arg, i->seq);
	return true;
}

bool
intents_agree(const struct intents *in, uint64_t *seq, const char **why)
{
	uint64_t hidden_seq = 0;

	*seq = 0;
	*why = "there are more open intents than can be followed";
	if (in->is_short)
		return false;
	map_each(in->open, find_hidden, &hidden_seq);
	if (hidden_seq != 0) {
		*seq = hidden_seq;
		*why = "its state says that it has ended, and no record tells how";
	} else if (in->stale_seq != 0) {
		*seq = in->stale_seq;
		*why = "its state says that it is open, and its outcome is recorded";
	} else if (in->odd_seq != 0) {
		*seq = in->odd_seq;
		*why = "its state is none that a gateway writes";
	}
	return *seq == 0;
}
