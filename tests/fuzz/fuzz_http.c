/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP bytes into the framing machine, whole and in pieces (cut as the first input byte says): both times it must
 * agree with the reference parser about every request, its end, its body and the status of a refusal.
 */
#include "base/must.h"
#include "support/framing_compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct framing_limits limits = {
	.max_headers_bytes = 2048,
	.max_line_bytes = 512,
	.max_headers = 24,
	.max_body_bytes = 300,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n_whole = 0;
	size_t n_split = 0;

	if (size == 0)
		return 0;
	struct span in = span_of((const char *)data + 1, size - 1);
	struct framing_cuts whole = {0};
	struct framing_cuts split = {.state = data[0], .max = 1 + data[0] % 40};
	MUST(compare_framings(in, &limits, whole, &n_whole) == NULL);
	MUST(compare_framings(in, &limits, split, &n_split) == NULL);
	MUST(n_whole == n_split);
	return 0;
}
