/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only place that asks for the time. Tests replace it (clock_fake_*). Deadlines are monotonic
 * nanoseconds; wall time is only for records, logs and expiry that outlives the process. Any
 * thread.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t clock_mono_ns(void);
/* Nanoseconds since 1970-01-01 UTC. */
int64_t clock_wall_ns(void);
/* What this process, and the calling thread, has used of the processors; no test sets it. */
int64_t clock_process_cpu_ns(void);
int64_t clock_thread_cpu_ns(void);

/* RFC 3339 in UTC with nanoseconds, trailing zeros of the fraction trimmed, "Z":
 * 2026-02-26T12:00:00.5Z. */
#define CLOCK_TEXT_MAX 40
/* Writes at most CLOCK_TEXT_MAX bytes with a NUL, returns the length without it. */
size_t clock_format(int64_t wall_ns, char out[CLOCK_TEXT_MAX]);
/* Reads RFC 3339 with any offset. ERR_PARSE. */
MUSTCHECK enum err clock_parse(struct span text, int64_t *wall_ns, struct errinfo *ei);
/* "Sat, 21 Nov 2026 09:00:00 GMT" for the HTTP Date header (RFC 9110 5.6.7). */
size_t clock_format_http(int64_t wall_ns, char out[CLOCK_TEXT_MAX]);

/* Tests only: fixed times until clock_fake_off. The environment variable NOMOS_TEST_CLOCK is not
 * read. */
void clock_fake_set(int64_t mono_ns, int64_t wall_ns);
void clock_fake_advance(int64_t ns);
void clock_fake_off(void);

#endif
