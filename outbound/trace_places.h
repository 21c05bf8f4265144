/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded number of places for traces, made once. A place goes from the free ones to a request, from there to the ones that
 * wait, and from the exporter's thread back: nobody waits, takes memory or copies on the way.
 */
#ifndef OUTBOUND_TRACE_PLACES_H
#define OUTBOUND_TRACE_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "slot_ring.h"

struct trace;

struct trace_places {
	struct trace *traces;
	size_t n;
	struct slot_ring free;
	struct slot_ring waiting;
};

/* n places, all free. False when memory is out; what was made then is for trace_places_fini, too. */
MUSTCHECK bool trace_places_init(struct trace_places *p, size_t n);
/* Accepts one that is all zero. No request may have a place any more. */
void trace_places_fini(struct trace_places *p);

/* Any thread. A place with an empty trace; NULL when no more than n_left_free are free. */
MUSTCHECK struct trace *trace_places_claim(struct trace_places *p, size_t n_left_free);
/* Any thread. The trace has ended: it waits for the exporter. */
void trace_places_submit(struct trace_places *p, struct trace *own_trace);

/* One thread: the next of those that wait, NULL when none does. It has to be given back. */
MUSTCHECK struct trace *trace_places_take(struct trace_places *p);
void trace_places_give_back(struct trace_places *p, struct trace *own_trace);
/* Others may change it meanwhile. */
size_t trace_places_count_waiting(struct trace_places *p);

#endif
