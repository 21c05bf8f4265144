/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and gauges: a fixed table of names (metric_tbl.h rows), one cache line apart per thread,
 * summed when read. metric_add is a plain atomic add without order. Any thread.
 */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdbool.h>
#include <stddef.h> /* before the table, which includes it too and stands inside the enum here */
#include <stdint.h>

enum metric {
#define X(id, name, kind, help) id,
#include "base/metric_tbl.h"
#undef X
	METRIC__MAX
};

void metric_add(enum metric m, int64_t n);
int64_t metric_get(enum metric m);
const char *metric_name(enum metric m);
const char *metric_help(enum metric m);
/* Else it is a counter, which never falls. */
bool metric_is_gauge(enum metric m);

#endif
