/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a ledger, in MB/s of records, beside what SHA-256 alone takes for the same number of bytes in pieces of the
 * same size. The file is made by another bench.
 *
 *     bench_verify LEDGER
 */
#include <stdio.h>
#include <stdlib.h>

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

static int64_t
time_hash(const struct total *t)
{
	static char piece[65536];
	uint8_t digest[SHA256_BYTES];
	size_t n_each = t->n_bytes / t->n_records;

	if (n_each > sizeof(piece))
		n_each = sizeof(piece);
	int64_t begin = clock_mono_ns();
	for (size_t i = 0; i < t->n_records; i++)
		hash_sha256(span_of(piece, n_each), digest);
	return clock_mono_ns() - begin;
}

int
main(int argc, char **argv)
{
	const struct verify_options options = {0};
	struct verify_result result;
	struct total total = {0};
	struct errinfo ei;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_verify LEDGER\n");
		return 2;
	}
	struct source *s = open_source(argv[1]);
	if (source_each(s, 0, count, &total, &ei) != OK || total.n_records == 0)
		bench_fail(argv[1], "cannot be read, or is empty");
	source_free(&s);
	s = open_source(argv[1]);
	int64_t begin = clock_mono_ns();
	if (verify_source(s, &options, &result, &ei) != OK)
		bench_fail(argv[1], ei.msg);
	int64_t took = clock_mono_ns() - begin;
	if (!result.is_good)
		bench_fail(argv[1], result.reason);
	source_free(&s);
	int64_t limit = time_hash(&total);
	bench_print("verify", (double)total.n_bytes * 1000.0 / (double)took, "MB/s");
	bench_print("sha256_limit", (double)total.n_bytes * 1000.0 / (double)limit, "MB/s");
	bench_print("verify_ratio", (double)limit / (double)took, "x");
	return 0;
}
