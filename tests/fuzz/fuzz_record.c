/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a record, an export line and a trailer: never a crash; a line that is taken apart
 * and put together again is the same bytes when event_hash stood in its place; a trailer that is
 * read has one form; and the row for people holds nothing a terminal would act on.
 */
#include <stdint.h>
#include <stdlib.h>

#include "audit/chain.h"
#include "audit/checkpoint.h"
#include "audit/query.h"
#include "audit/trailer.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/must.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(struct span inner, struct span outer)
{
	MUST(inner.n == 0 || (inner.p >= outer.p && inner.p + inner.n <= outer.p + outer.n));
}

static void
check_fields(struct span body)
{
	struct chain_fields f;
	struct checkpoint cp;

	if (chain_read_fields(body, &f)) {
		check_inside(f.chain_id, body);
		check_inside(f.event_type, body);
		check_inside(f.prev_event_hash, body);
		check_inside(f.timestamp, body);
	}
	check_inside(chain_find_member(body, SPAN_LIT("seq")), body);
	if (checkpoint_parse_record(body, &cp))
		MUST(cp.at.seq > 0);
}

static void
check_line(struct span line)
{
	struct buf body;
	struct buf again;
	struct buf twice;
	struct span hash;
	struct span hash_again;

	buf_init(&body, BUF_CAP_FILE);
	buf_init(&again, BUF_CAP_FILE);
	buf_init(&twice, BUF_CAP_FILE);
	if (chain_parse_line(line, &body, &hash)) {
		check_inside(hash, line);
		check_fields(buf_span(&body));
		/* A hash of hex digits needs no escape, so building is the inverse of parsing. */
		char hex[SHA256_HEX + 1];
		hash_sha256_hex(line, hex);
		if (chain_build_line(buf_span(&body), span_cstr(hex), &again)) {
			MUST(chain_parse_line(buf_span(&again), &twice, &hash_again));
			MUST(span_eq_cstr(hash_again, hex));
			MUST(span_eq(buf_span(&twice), buf_span(&body)));
		}
	}
	buf_fini(&body);
	buf_fini(&again);
	buf_fini(&twice);
}

static void
check_trailer(struct span line)
{
	struct trailer t;
	struct buf b;

	(void)trailer_is_line(line);
	if (trailer_parse(line, &t, NULL) != OK) {
		MUST(!t.is_signed && t.count == 0);
		return;
	}
	buf_init(&b, TRAILER_BYTES_MAX);
	trailer_build(&t, &b);
	MUST(span_eq(buf_span(&b), line));
	buf_fini(&b);
}

static void
check_row(struct span body)
{
	struct buf row;

	buf_init(&row, BUF_CAP_FILE);
	query_build_row(1, body, false, &row);
	struct span text = buf_span(&row);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		MUST(c >= 0x20 && c != 0x7f);
		/* C1 controls are c2 80 .. c2 9f in UTF-8. */
		MUST(c != 0xc2 || (i + 1 < text.n && (unsigned char)text.p[i + 1] > 0xa0));
	}
	buf_fini(&row);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of((const char *)data, size);

	check_fields(text);
	check_line(text);
	check_trailer(text);
	check_row(text);
	return 0;
}
