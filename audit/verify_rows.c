/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of verify that no hash covers. Beside a running gateway rows change between two pages:
 * what is judged there is only what cannot change any more. Blocking.
 */
#include "verify_rows.h"

#include <inttypes.h>
#include <stdio.h>

#include "audit/ledger.h"
#include "audit/source.h"
#include "audit/store.h"
#include "intents.h"

static bool
see_later(const struct source_record *r, void *arg)
{
	if (!r->is_malformed)
		intents_see_later(arg, r->body);
	return true;
}

/* An intent that was complete when its row was read has an outcome now, behind the head of then. */
static enum err
see_outcomes_since(struct source *s, struct intents *in, uint64_t last, struct errinfo *ei)
{
	enum err rc = source_refresh(s, ei);

	if (rc == OK)
		rc = source_each(s, last, see_later, in, ei);
	intents_forgive_open(in);
	return rc;
}

/* The index finds open intents at the next start: one that it lacks would never be settled. */
static enum err
check_index(struct source *s, const struct intents *in, uint64_t after, char why[VERIFY_WHY_MAX],
	struct errinfo *ei)
{
	uint64_t n = 0;

	for (int state = LEDGER_OPEN; state <= LEDGER_AUTHORIZED; state++) {
		enum err rc = store_reader_count_state(source_get_reader(s), state, after, &n, ei);
		if (rc != OK)
			return rc;
		if (n != intents_count(in, state))
			snprintf(why, VERIFY_WHY_MAX,
				"damaged: the index of open records is not whole");
	}
	return OK;
}

enum err
verify_rows(struct source *s, struct intents *in, uint64_t after, uint64_t last, uint64_t *seq,
	char why[VERIFY_WHY_MAX], struct errinfo *ei)
{
	const char *clause = "";
	int64_t first = 1;
	enum err rc = store_reader_first(source_get_reader(s), &first, ei);

	*seq = 0;
	why[0] = '\0';
	if (rc == OK && first < 1) {
		snprintf(why, VERIFY_WHY_MAX,
			"edited: a row numbered %" PRId64 " stands before record 1", first);
		return OK;
	}
	if (rc == OK)
		rc = source_is_live(s) ? see_outcomes_since(s, in, last, ei)
				       : check_index(s, in, after, why, ei);
	if (rc != OK || why[0] != '\0' || intents_agree(in, seq, &clause))
		return rc;
	if (*seq == 0)
		return ERR(ei, ERR_NOMEM, "%s", clause);
	snprintf(why, VERIFY_WHY_MAX, "edited: %s", clause);
	return OK;
}
