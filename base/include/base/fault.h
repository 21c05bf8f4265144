/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault points: named moments before and after each write, sync, rename and effect, at which a
 * test build (NOMOS_FAULT_POINTS) can die, stop, or let the call fail. Other builds hold no trace
 * of them. A call is wrapped as
 *
 *     if (FAULT_BEFORE(FILE_SYNC) || fsync(fd) != 0 || FAULT_AFTER(FILE_SYNC))
 *             ... errno says why
 *
 * so that "before" is a call that failed and did nothing, "after" one that was done and says that
 * it failed. Any thread; never inside a lock.
 *
 * A test build reads three variables of its environment, once:
 *     NOMOS_FAULT        [name.moment:times:what, ...] with times "3" (the third), "2-5", "2-", and what
 *                        "kill" (SIGKILL), "stop" (SIGSTOP) or "error=EIO" (the call fails so)
 *     NOMOS_FAULT_WHILE  a file: calls fail, and the process is killed, only while it is there
 *     NOMOS_FAULT_LOG    a file that gets a line "name.moment" for each moment that is reached
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum fault_point {
#define X(id, name) FAULT_AT_##id,
#include "base/fault_tbl.h"
#undef X
	FAULT_AT__MAX
};

#if NOMOS_FAULT_POINTS

#define FAULT_BEFORE(id) fault_reach(FAULT_AT_##id, false)
#define FAULT_AFTER(id) fault_reach(FAULT_AT_##id, true)
/* A call of type enum err between its two moments. */
#define FAULT_AROUND(id, ei, call)                                                                 \
	fault_finish(                                                                              \
		FAULT_AT_##id, FAULT_BEFORE(id) ? fault_fail(FAULT_AT_##id, (ei)) : (call), (ei))

/* True: the call is to fail, with errno set. */
bool fault_reach(enum fault_point at, bool is_after);
/* ERR_IO with errno's text. */
enum err fault_fail(enum fault_point at, struct errinfo *ei);
/* rc, or the failure that is asked for after a call that went well. */
enum err fault_finish(enum fault_point at, enum err rc, struct errinfo *ei);
/* Whether the environment asks for anything. */
bool fault_is_asked_for(void);

/* For test programs, in place of the environment; while no thread is at a point. NULL: nothing
 * happens any more. False: the text is malformed. Counts begin anew. */
MUSTCHECK bool fault_arm(const char *text);
/* How often a moment was reached since the last fault_arm. */
uint64_t fault_count(enum fault_point at, bool is_after);

/* Called at every moment that is reached; NULL: none. For test programs that decide which thread
 * goes on. */
typedef void (*fault_hook_fn)(enum fault_point at, bool is_after);
void fault_set_hook(fault_hook_fn hook);

#else

#define FAULT_BEFORE(id) false
#define FAULT_AFTER(id) false
#define FAULT_AROUND(id, ei, call) (call)

#endif

#endif
