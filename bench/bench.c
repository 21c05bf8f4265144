/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the small benches share. Nothing here is part of nomos. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/fdio.h"

void
bench_add(struct bench_series *s, int64_t ns)
{
	if (s->n < BENCH_SERIES_MAX)
		s->ns[s->n++] = ns;
}

static int
compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int64_t
bench_quantile(struct bench_series *s, double q)
{
	if (s->n == 0)
		return 0;
	qsort(s->ns, s->n, sizeof(s->ns[0]), compare);
	size_t at = (size_t)(q * (double)s->n);
	return s->ns[at < s->n ? at : s->n - 1];
}

void
bench_print(const char *name, double value, const char *unit)
{
	printf("%s %.4g %s\n", name, value, unit);
	fflush(stdout);
}

struct span
bench_read_file(const char *path)
{
	struct errinfo ei;
	struct buf text;

	buf_init(&text, BUF_CAP_FILE);
	if (fdio_read_file(path, BUF_CAP_FILE, &text, &ei) != OK)
		bench_fail(path, ei.msg);
	return buf_span(&text);
}

long
bench_read_number(const char *text, long max)
{
	char *end = NULL;
	long n = strtol(text, &end, 10);

	if (*end != '\0' || n < 1 || n > max) {
		fprintf(stderr, "%s is not a number from 1 to %ld\n", text, max);
		exit(2);
	}
	return n;
}

void
bench_fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}
