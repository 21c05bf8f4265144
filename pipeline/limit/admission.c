/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller behind admission.h. The least wait of an interval tells a standing queue from a burst (as CoDel does,
 * RFC 8289); the share grows by half of what is left and shrinks by an eighth, so that it settles where
 * the queue does. Some are always let in, or nothing would be measured any more. Own loop's thread.
 */
#include "pipeline/admission.h"

#include "base/clock.h"

#define INTERVAL_NS (500 * NS_PER_MS)
/* Nobody came for so long that what was measured says nothing any more. */
#define STALE_NS (2 * NS_PER_SEC)
#define SHARE_MAX (ADMISSION_WHOLE - ADMISSION_WHOLE / 32)
/* One slow turn is a hiccup of the machine. */
#define TURNS_MIN 2

static void
begin_interval(struct admission *a, int64_t now_ns)
{
	a->begin_ns = now_ns;
	a->least_ns = INT64_MAX;
	a->n_turns = 0;
}

/* The turn before is over: its longest wait counts. */
static void
count_turn(struct admission *a)
{
	if (a->turn_wait_ns < a->least_ns)
		a->least_ns = a->turn_wait_ns;
	a->n_turns++;
}

static void
end_interval(struct admission *a, int64_t limit_ns)
{
	bool is_congested = a->n_turns >= TURNS_MIN && a->least_ns > limit_ns;

	if (is_congested)
		a->share += (SHARE_MAX - a->share + 1) / 2;
	else
		a->share -= (a->share + 7) / 8;
}

bool
admission_take(struct admission *a, int64_t limit_ns, int64_t turn_ns, int64_t now_ns,
	int64_t ledger_wait_ns)
{
	int64_t wait_ns = now_ns - turn_ns;

	if (wait_ns < ledger_wait_ns)
		wait_ns = ledger_wait_ns;
	if (limit_ns <= 0 || a->begin_ns == 0 || now_ns - a->begin_ns > STALE_NS) {
		*a = (struct admission){.turn_ns = turn_ns, .turn_wait_ns = wait_ns};
		begin_interval(a, now_ns);
		return true;
	}
	if (turn_ns != a->turn_ns) {
		count_turn(a);
		a->turn_ns = turn_ns;
		a->turn_wait_ns = 0;
		if (now_ns - a->begin_ns >= INTERVAL_NS) {
			end_interval(a, limit_ns);
			begin_interval(a, now_ns);
		}
	}
	if (wait_ns > a->turn_wait_ns)
		a->turn_wait_ns = wait_ns;
	a->credit += a->share;
	if (a->credit < ADMISSION_WHOLE)
		return true;
	a->credit -= ADMISSION_WHOLE;
	return false;
}
