/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a ledger, in MB/s of records, beside what SHA-256 alone takes for the same number of bytes in pieces of the
 * same size: both in turn, each round with a new copy of the file, and the medians. The file is made by another bench.
 *
 *     bench_verify LEDGER [ROUNDS]
 */
#define _GNU_SOURCE /* RUSAGE_THREAD */

#include <stdio.h>
#include <stdlib.h>

#include <sys/resource.h>

#include "audit/source.h"
#include "audit/verify.h"
#include "base/clock.h"
#include "base/hash.h"
#include "bench.h"

struct total {
	size_t n_bytes;
	size_t n_records;
};

static bool
count(const struct source_record *r, void *arg)
{
	struct total *t = arg;

	t->n_bytes += r->body.n;
	t->n_records++;
	return true;
}

static struct source *
open_source(const char *path)
{
	struct source *s = NULL;
	struct errinfo ei;

	if (source_open(path, SOURCE_SHARED, &s, &ei) != OK)
		bench_fail(path, ei.msg);
	return s;
}

/* Of this thread: beside other programs it says more than the clock. */
static int64_t
cpu_ns(void)
{
	struct rusage used;

	if (getrusage(RUSAGE_THREAD, &used) != 0)
		bench_fail("getrusage", "failed");
	return ((int64_t)used.ru_utime.tv_sec + used.ru_stime.tv_sec) * NS_PER_SEC +
	       ((int64_t)used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1000;
}

struct moment {
	int64_t clock_ns;
	int64_t cpu_ns;
};

static struct moment
now(void)
{
	return (struct moment){.clock_ns = clock_mono_ns(), .cpu_ns = cpu_ns()};
}

static struct moment
since(struct moment begin)
{
	struct moment end = now();

	return (struct moment){
		.clock_ns = end.clock_ns - begin.clock_ns, .cpu_ns = end.cpu_ns - begin.cpu_ns};
}

static struct moment
time_verify(const char *path)
{
	const struct verify_options options = {0};
	struct verify_result result;
	struct errinfo ei;
	struct source *s = open_source(path);
	struct moment begin = now();

	if (verify_source(s, &options, &result, &ei) != OK)
		bench_fail(path, ei.msg);
	struct moment took = since(begin);
	if (!result.is_good)
		bench_fail(path, result.reason);
	source_free(&s);
	return took;
}

static struct moment
time_hash(const struct total *t)
{
	static char piece[65536];
	uint8_t digest[SHA256_BYTES];
	size_t n_each = t->n_bytes / t->n_records;

	if (n_each > sizeof(piece))
		n_each = sizeof(piece);
	struct moment begin = now();
	for (size_t i = 0; i < t->n_records; i++)
		hash_sha256(span_of(piece, n_each), digest);
	return since(begin);
}

/* In thousandths, so that a series can hold it. */
static int64_t
ratio_of(int64_t limit, int64_t took)
{
	return took > 0 ? limit * 1000 / took : 0;
}

int
main(int argc, char **argv)
{
	struct total total = {0};
	struct errinfo ei;
	struct bench_series took = {.n = 0};
	struct bench_series limits = {.n = 0};
	struct bench_series ratios = {.n = 0};
	struct bench_series cpu_ratios = {.n = 0};

	if (argc != 2 && argc != 3) {
		fprintf(stderr, "usage: bench_verify LEDGER [ROUNDS]\n");
		return 2;
	}
	long n_rounds = argc == 3 ? bench_read_number(argv[2], 1000) : 5;
	struct source *s = open_source(argv[1]);
	if (source_each(s, 0, count, &total, &ei) != OK || total.n_records == 0)
		bench_fail(argv[1], "cannot be read, or is empty");
	source_free(&s);
	for (long i = 0; i < n_rounds; i++) {
		struct moment v = time_verify(argv[1]);
		struct moment h = time_hash(&total);
		bench_add(&took, v.clock_ns);
		bench_add(&limits, h.clock_ns);
		bench_add(&ratios, ratio_of(h.clock_ns, v.clock_ns));
		bench_add(&cpu_ratios, ratio_of(h.cpu_ns, v.cpu_ns));
	}
	double bytes = (double)total.n_bytes * 1000.0;
	bench_print("verify", bytes / (double)bench_quantile(&took, 0.5), "MB/s");
	bench_print("sha256_limit", bytes / (double)bench_quantile(&limits, 0.5), "MB/s");
	bench_print("verify_ratio", (double)bench_quantile(&ratios, 0.5) / 1000.0, "x");
	bench_print("verify_ratio_cpu", (double)bench_quantile(&cpu_ratios, 0.5) / 1000.0, "x");
	return 0;
}
