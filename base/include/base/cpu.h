/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a thread asks of the scheduler, and how much of the processors the process takes. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdint.h>

/* For a thread that sleeps often, works briefly, and has many wait for it: asks for turns of 0.3 ms, which Linux from 6.12 on
 * gives sooner than long ones. It gets no more of the processors for it, and needs no privilege. Without effect elsewhere. */
void cpu_ask_for_short_turns(void);

/* Where a thread last looked at who uses the processors. One thread. */
struct cpu_watch {
	int64_t wall_ns;
	int64_t process_ns;
	int64_t own_ns;
};

struct cpu_use {
	int64_t own_ns; /* what the thread has used itself */
	unsigned
		others_percent; /* of all processors that are online: what the process's other threads have used */
};

void cpu_watch_start(struct cpu_watch *w);
/* Since the start or the last look. */
struct cpu_use cpu_watch_look(struct cpu_watch *w);
/* others_percent from what was measured; at most 100. */
unsigned cpu_percent(int64_t used_ns, int64_t wall_ns, long n_cpus);

#endif
