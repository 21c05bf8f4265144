/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of refusals, what each is answered with, and how often each happened. The machine
 * that decides is in framing.c, its place on a connection in conn.c. Texts must never repeat
 * bytes of the client. Any thread.
 */
#include "net/gate.h"

#include <stdatomic.h>

#include "base/must.h"
#include "gate_priv.h"

static _Atomic uint64_t counts[GATE__MAX];

static const struct {
	unsigned status;
	const char *text;
} refusals[GATE__MAX] = {
#define X(id, status, text) {status, text},
	GATE_REFUSALS(X)
#undef X
};

unsigned
gate_status(enum gate_refusal why)
{
	MUST(why < GATE__MAX);
	return refusals[why].status;
}

const char *
gate_text(enum gate_refusal why)
{
	MUST(why < GATE__MAX);
	return refusals[why].text;
}

uint64_t
gate_count(enum gate_refusal why)
{
	MUST(why < GATE__MAX);
	return atomic_load_explicit(&counts[why], memory_order_relaxed);
}

void
gate_note(enum gate_refusal why)
{
	MUST(why < GATE__MAX);
	atomic_fetch_add_explicit(&counts[why], 1, memory_order_relaxed);
}
