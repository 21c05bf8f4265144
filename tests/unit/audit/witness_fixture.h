/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the tests of witnesses share: the file that a receiver kept, and a ledger held against it. */
#ifndef TESTS_UNIT_AUDIT_WITNESS_FIXTURE_H
#define TESTS_UNIT_AUDIT_WITNESS_FIXTURE_H

#include <inttypes.h>

#include "audit/witness.h"
#include "reader_fixture.h"

/* A folder of its own for each witness. */
static inline const char *
witness_path(void)
{
	static char path[300];
	static unsigned n;

	snprintf(path, sizeof(path), "%s/witness-%u", test_tmpdir(), n++);
	return path;
}

static inline void
add_lines(struct buf *b, const struct lines *lines, size_t from, size_t to, const char *end)
{
	for (size_t i = from; i < to; i++) {
		buf_add_span(b, lines->line[i]);
		buf_add_cstr(b, end);
	}
}

/* portion 0: as it is. accepted: see witness_compared. */
static inline enum err
compare_witness(const char *ledger, const char *path, size_t portion, const char *accepted,
	struct witness_verdict *out)
{
	struct witness *w = NULL;
	struct source *s = NULL;
	struct verify_result r;
	struct errinfo ei;
	enum err rc = witness_open(path, &w, &ei);

	if (rc != OK)
		return rc;
	if (portion > 0)
		witness_set_portion(w, portion);
	CHECK_INT(source_open(ledger, SOURCE_SHARED, &s, &ei), OK);
	CHECK_INT(verify_source(s, &(struct verify_options){.key = NULL}, &r, &ei), OK);
	CHECK(r.is_good);
	struct witness_compared o = {.chain_id = r.chain_id,
		.source = s,
		.head = r.head,
		.anchor = r.anchor,
		.accepted = accepted};
	rc = witness_compare(w, &o, out, &ei);
	source_free(&s);
	witness_free(&w);
	return rc;
}

#endif
