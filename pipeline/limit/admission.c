/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller behind admission.h. The least wait of an interval tells a standing queue from a burst (as CoDel does,
 * RFC 8289). While one stands, those are turned away that have waited for longer than a fifth of the limit and have more
 * behind them than are served in that time. Not all that have waited: whenever the machine stops for a moment that is everybody,
 * and who is turned away is away for its Retry-After, all of them at once, so that nobody would be left. Own loop's thread.
 */
#include "pipeline/admission.h"

#include "base/clock.h"

#define INTERVAL_NS (500 * NS_PER_MS)
/* Nobody came for so long that what was measured says nothing any more. */
#define STALE_NS (2 * NS_PER_SEC)
/* Turns are looked at together for so long: under load a long one that takes in requests is followed by short ones that
 * only hand out replies, and those do not mean that nobody waits. */
#define SPELL_NS (100 * NS_PER_MS)
/* One slow turn is a hiccup of the machine. */
#define SPELLS_MIN 2
/* While a queue stands, waits are kept at about this; only when they fall below the other has the queue gone. */
#define KEPT_NS(limit_ns) ((limit_ns) / 5)
#define GONE_NS(limit_ns) ((limit_ns) / 8)
/* The server never runs dry. */
#define KEPT_MIN 8

static void
begin_interval(struct admission *a, int64_t now_ns)
{
	a->begin_ns = now_ns;
	a->least_ns = INT64_MAX;
	a->n_spells = 0;
	a->n_let_in = 0;
}

/* The spell before is over: its longest wait counts. One in which nobody came had none. */
static void
end_spell(struct admission *a, int64_t turn_ns)
{
	int64_t wait_ns = turn_ns - a->turn_ns > SPELL_NS + a->spell_wait_ns ? 0 : a->spell_wait_ns;

	if (wait_ns < a->least_ns)
		a->least_ns = wait_ns;
	a->n_spells++;
	a->spell_ns = turn_ns;
	a->spell_wait_ns = 0;
}

static void
end_interval(struct admission *a, int64_t limit_ns, int64_t now_ns)
{
	int64_t kept = a->n_let_in * KEPT_NS(limit_ns) / (now_ns - a->begin_ns);

	/* An interval in which clients were away says little of what could have been served. */
	a->kept -= a->kept / 8;
	if (kept > a->kept)
		a->kept = (uint32_t)kept;
	if (a->kept < KEPT_MIN)
		a->kept = KEPT_MIN;
	if (a->is_congested)
		a->is_congested = a->least_ns > GONE_NS(limit_ns);
	else
		a->is_congested = a->n_spells >= SPELLS_MIN && a->least_ns > limit_ns;
}

/* Whether its flow has no more than its part of what may wait. */
static bool
has_few(const struct admission *a, int64_t limit_ns, const struct admission_wait *wait)
{
	size_t n_flows = wait->n_flows > 0 ? wait->n_flows : 1;

	return wait->ledger_ns <= KEPT_NS(limit_ns) && wait->n_behind <= a->kept / n_flows;
}

bool
admission_take(struct admission *a, int64_t limit_ns, const struct admission_wait *wait)
{
	int64_t now_ns = wait->now_ns;
	int64_t turn_ns = wait->turn_ns;
	int64_t wait_ns = now_ns - wait->since_ns;

	if (wait_ns < wait->ledger_ns)
		wait_ns = wait->ledger_ns;
	if (limit_ns <= 0 || a->begin_ns == 0 || now_ns - a->begin_ns > STALE_NS) {
		*a = (struct admission){
			.turn_ns = turn_ns, .spell_ns = turn_ns, .spell_wait_ns = wait_ns};
		begin_interval(a, now_ns);
		return true;
	}
	if (turn_ns - a->spell_ns >= SPELL_NS) {
		end_spell(a, turn_ns);
		if (now_ns - a->begin_ns >= INTERVAL_NS) {
			end_interval(a, limit_ns, now_ns);
			begin_interval(a, now_ns);
		}
	}
	a->turn_ns = turn_ns;
	if (wait_ns > a->spell_wait_ns)
		a->spell_wait_ns = wait_ns;
	bool has_room =
		!a->is_congested || wait_ns <= KEPT_NS(limit_ns) || has_few(a, limit_ns, wait);
	a->n_let_in += has_room ? 1 : 0;
	return has_room;
}
