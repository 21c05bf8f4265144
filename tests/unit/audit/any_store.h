/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A new store of each kind, with rows and claims to put into it. */
#ifndef TESTS_UNIT_AUDIT_ANY_STORE_H
#define TESTS_UNIT_AUDIT_ANY_STORE_H

#include <stdio.h>

#include "base/buf.h"
#include "store_ops.h"
#include "store_sqlite.h"
#include "support/test.h"

static char store_path[256]; /* of the store made last */

static inline struct store *
new_store(enum ledger_store kind)
{
	struct ledger_options o;
	struct store *s = NULL;
	struct errinfo ei;

	ledger_options_init(&o);
	snprintf(store_path, sizeof(store_path), "%s/ledger.db", test_tmpdir());
	o.path = store_path;
	o.sync = LEDGER_SYNC_OFF;
	enum err rc = kind == LEDGER_STORE_SQLITE
			      ? store_sqlite_new(&o, &s, &ei)
			      : store_memory_new(kind == LEDGER_STORE_MEMORY, &s, &ei);
	if (rc != OK)
		FAIL("%s", ei.msg);
	return s;
}

static inline enum err
append(struct store *s, uint64_t seq, int state)
{
	struct store_row row = {.seq = seq, .state = state, .body = SPAN_LIT("{}")};
	struct errinfo ei;

	snprintf(row.hash, sizeof(row.hash), "%064x", (unsigned)seq);
	return s->ops->append(s, &row, &ei);
}

static inline uint64_t
head_of(struct store *s)
{
	struct chain_head head;
	struct errinfo ei;

	CHECK_INT(s->ops->head(s, &head, &ei), OK);
	return head.seq;
}

static inline struct ledger_claim
claim_of(uint32_t kind, uint8_t first, int64_t expires)
{
	struct ledger_claim c = {.kind = kind, .seq = 5, .state = 1, .expires_wall_ns = expires};

	c.key[0] = first;
	c.binding_hash[31] = 9;
	return c;
}

static inline void
each_store(void (*fn)(struct store *s))
{
	static const enum ledger_store kinds[] = {LEDGER_STORE_SQLITE, LEDGER_STORE_MEMORY};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct store *s = new_store(kinds[i]);
		if (s == NULL)
			continue;
		fn(s);
		s->ops->free(s);
	}
}

/* n records, each tenth an open one. */
static inline void
fill(struct store *s, uint64_t n)
{
	struct errinfo ei;

	CHECK_INT(s->ops->begin(s, &ei), OK);
	for (uint64_t i = 1; i <= n; i++)
		CHECK_INT(append(s, i, i % 10 == 0 ? LEDGER_OPEN : LEDGER_COMPLETE), OK);
	CHECK_INT(s->ops->commit(s, &ei), OK);
}

#endif
