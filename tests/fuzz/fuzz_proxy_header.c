/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers: a header is one however much follows it, is "more" at each byte before, and what is refused stays refused; so the way
 * a connection cuts it into pieces decides nothing.
 */
#include <string.h>

#include "base/must.h"
#include "proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_of((const char *)data, size);
	struct proxy_header whole;
	struct proxy_header part;
	enum proxy_verdict verdict = proxy_header_read(all, &whole);
	bool is_refused = false;

	MUST(whole.n <= size && whole.n <= PROXY_HEADER_BYTES_MAX);
	MUST((verdict == PROXY_DONE) == (whole.n > 0));
	MUST(verdict != PROXY_MORE || size < PROXY_HEADER_BYTES_MAX);
	for (size_t n = 0; n < size && n <= PROXY_HEADER_BYTES_MAX; n++) {
		enum proxy_verdict v = proxy_header_read(span_of(all.p, n), &part);
		MUST(!is_refused || v == PROXY_REFUSED);
		is_refused = v == PROXY_REFUSED;
		MUST(verdict != PROXY_DONE || v == (n < whole.n ? PROXY_MORE : PROXY_DONE));
		MUST(v != PROXY_DONE ||
			memcmp(&part.client, &whole.client, sizeof(part.client)) == 0);
	}
	return 0;
}
