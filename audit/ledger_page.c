/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
#include "ledger_page.h"

#include <inttypes.h>

#include "audit/store.h"
#include "ledger_ring.h"

/* A gap ends the batch: what is missing is asked for next. */
static bool
keep_row(const struct store_row *row, void *arg)
{
	struct ledger_batch *b = arg;

	if (b->n > 0 && row->seq != b->records[b->n - 1].seq + 1)
		return false;
	return ledger_batch_add(b, row->seq, row->hash, row->body) &&
	       b->bytes.n <= LEDGER_BATCH_BYTES;
}

enum err
ledger_page_read(const char *path, struct store_reader **reader, uint64_t after, size_t max,
	struct ledger_batch *out, struct errinfo *ei)
{
	enum err rc = OK;
	size_t n = 0;

	ledger_batch_reset(out);
	if (*reader == NULL)
		rc = store_reader_open(path, STORE_READ_LIVE, reader, ei);
	if (rc == OK)
		rc = store_reader_page(*reader, after, max, keep_row, out, &n, ei);
	bool has_next = out->n > 0 && out->records[0].seq == after + 1;
	if (rc == OK && !has_next)
		rc = ERR(ei, ERR_IO, "record %" PRIu64 " is not in the store", after + 1);
	if (rc != OK)
		store_reader_free(reader);
	if (!has_next) {
		ledger_batch_reset(out);
		return rc;
	}
	ledger_batch_finish(out);
	return OK;
}
