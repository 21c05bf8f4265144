/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The writing side of the gate's counters; only net/ counts. Any thread. */
#ifndef NET_GATE_PRIV_H
#define NET_GATE_PRIV_H

#include "net/gate.h"

/* One more request was refused for that reason. */
void gate_note(enum gate_refusal why);

#endif
