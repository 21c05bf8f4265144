/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Linux's calls for one thread. All of it is advice: what the kernel does not know or allow is left as it is. Any thread. */
#define _GNU_SOURCE /* syscall */

#include "base/cpu.h"

#include <unistd.h>

#include <sys/syscall.h>

#include "base/clock.h"

#define SHORT_TURN_NS (UINT64_C(3) * NS_PER_MS / 10)

/* The first version of the kernel's struct sched_attr, which the C library does not have. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns; /* the usual policy takes it for the length of a turn */
	uint64_t deadline_ns;
	uint64_t period_ns;
};

void
cpu_ask_for_short_turns(void)
{
	struct attributes a = {0};

	/* What is not asked for stays as it is. */
	if (syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0) != 0)
		return;
	a.size = sizeof(a);
	a.runtime_ns = SHORT_TURN_NS;
	(void)syscall(SYS_sched_setattr, 0, &a, 0);
}

unsigned
cpu_percent(int64_t used_ns, int64_t wall_ns, long n_cpus)
{
	if (used_ns <= 0 || wall_ns <= 0 || n_cpus <= 0)
		return 0;
	int64_t whole_ns = wall_ns * n_cpus;
	return used_ns >= whole_ns ? 100 : (unsigned)(used_ns * 100 / whole_ns);
}

void
cpu_watch_start(struct cpu_watch *w)
{
	*w = (struct cpu_watch){
		.wall_ns = clock_mono_ns(),
		.process_ns = clock_process_cpu_ns(),
		.own_ns = clock_thread_cpu_ns(),
	};
}

struct cpu_use
cpu_watch_look(struct cpu_watch *w)
{
	const struct cpu_watch before = *w;

	cpu_watch_start(w);
	int64_t own_ns = w->own_ns - before.own_ns;
	int64_t others_ns = w->process_ns - before.process_ns - own_ns;
	return (struct cpu_use){own_ns,
		cpu_percent(others_ns, w->wall_ns - before.wall_ns, sysconf(_SC_NPROCESSORS_ONLN))};
}
