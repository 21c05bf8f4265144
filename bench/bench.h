/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the small benches share: series of durations and one line of output per figure, "name value unit". A bench never judges
 * its figures. One thread.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define BENCH_SERIES_MAX 4096

struct bench_series {
	int64_t ns[BENCH_SERIES_MAX];
	size_t n;
};

/* Keeps at most BENCH_SERIES_MAX values. */
void bench_add(struct bench_series *s, int64_t ns);
/* The value below which the share q (0 to 1) lies; 0 for an empty series. Sorts the series. */
int64_t bench_quantile(struct bench_series *s, double q);
void bench_print(const char *name, double value, const char *unit);

/* A file of the command line as NUL-terminated text that lives until exit; the process ends with status 1 on any failure. */
struct span bench_read_file(const char *path);
/* A positive number of the command line; the process ends with status 2 when it is none. */
long bench_read_number(const char *text, long max);
/* Says why and ends the process with status 1. */
_Noreturn void bench_fail(const char *what, const char *why);

#endif
