/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What loading, checking, hashing and compiling a bundle costs.
 *
 *     bench_load ROUNDS BUNDLE
 */
#include <stdio.h>

#include "base/clock.h"
#include "bench.h"
#include "policy/policy.h"

int
main(int argc, char **argv)
{
	static struct bench_series series;
	const struct policy_options options = {0};
	struct errinfo ei;

	if (argc != 3) {
		fprintf(stderr, "usage: bench_load ROUNDS BUNDLE\n");
		return 2;
	}
	long rounds = bench_read_number(argv[1], 1000);
	struct span text = bench_read_file(argv[2]);
	const struct policy_source source = {.path = span_cstr(argv[2]), .bytes = text};
	for (long i = 0; i < rounds; i++) {
		struct policy *p = NULL;
		int64_t begin = clock_mono_ns();
		if (policy_load(&source, 1, &options, &p, &ei) != OK)
			bench_fail(argv[2], ei.msg);
		bench_add(&series, clock_mono_ns() - begin);
		policy_unref(&p);
	}
	bench_print("load_p50", (double)bench_quantile(&series, 0.5) / (double)NS_PER_MS, "ms");
	return 0;
}
