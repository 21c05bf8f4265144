/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Redaction in MB/s: of ordinary text, of text full of secrets, and of text that almost matches everywhere.
 *
 *     bench_redact MILLISECONDS
 */
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/redact.h"
#include "bench.h"

#define TEXT_BYTES ((size_t)64 * 1024)

static void
measure(const char *name, struct span unit, int64_t budget_ns)
{
	const struct redactor *r = redactor_default();
	struct buf text;
	struct buf out;
	size_t n_bytes = 0;

	buf_init(&text, 2 * TEXT_BYTES);
	buf_init(&out, 4 * TEXT_BYTES);
	while (text.n < TEXT_BYTES)
		buf_add_span(&text, unit);
	int64_t begin = clock_mono_ns();
	int64_t took = 0;
	while (took < budget_ns) {
		buf_reset(&out);
		(void)redact(r, buf_span(&text), &out);
		n_bytes += text.n;
		took = clock_mono_ns() - begin;
	}
	if (buf_failed(&out))
		bench_fail(name, "the output is too large");
	bench_print(name, (double)n_bytes * 1000.0 / (double)took, "MB/s");
	buf_fini(&out);
	buf_fini(&text);
}

int
main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bench_redact MILLISECONDS\n");
		return 2;
	}
	int64_t budget_ns = bench_read_number(argv[1], 60000) * NS_PER_MS;
	measure("redact_prose",
		SPAN_LIT("{\"note\":\"an ordinary line of text about orders\",\"n\":12345}\n"),
		budget_ns);
	measure("redact_secrets", SPAN_LIT("x AKIAABCDEFGHIJKLMNOP y bearer abcdefghijklmnop z\n"),
		budget_ns);
	measure("redact_near",
		SPAN_LIT("-----BEGIN eyJhbGciOi.eyJzdWIiOi. bearer abc AKIAABC basic eyJ"),
		budget_ns);
	return 0;
}
