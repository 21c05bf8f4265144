/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling the index. The place it has come to is written in the transaction of the entries that lead
 * there, so a crash repeats nothing and skips nothing. Rows of the ledger are taken over in one short
 * transaction of theirs and written in one of the index: neither waits for the other.
 */
#define _GNU_SOURCE /* qsort_r */

#include "index_writer.h"

#include <stdlib.h>
#include <string.h>

#include "audit/store.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "index_file.h"
#include "index_layout.h"
#include "index_postings.h"
#include "store_sqlite.h"

#define WRITER_MAGIC 0x1d3c0001u
#define BATCH_BYTES ((size_t)STORE_PAGE_MAX * INDEX_N_FIELDS * INDEX_VALUE_MAX)

struct entry {
	uint64_t seq;
	uint32_t at; /* of the value in the batch's bytes */
	uint8_t n;
	uint8_t field;
};

struct batch {
	struct entry entries[STORE_PAGE_MAX * INDEX_N_FIELDS];
	size_t n;
	struct buf values;
	struct {
		uint64_t seq;
		int64_t wall_ns;
	} times[STORE_PAGE_MAX];
	size_t n_times;
	size_t n_rows;
	struct chain_head last;
};

struct index_writer {
	unsigned magic;
	struct index_file file;
	struct batch *batch;
};

enum err
index_writer_open(const char *path, struct store_reader *from, unsigned shift,
	struct index_writer **out, bool *is_new, struct errinfo *ei)
{
	struct buf id;
	bool is_made = false;

	*out = NULL;
	struct index_writer *w = mem_zalloc(1, sizeof(*w));
	if (w == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	w->magic = WRITER_MAGIC;
	w->file.header.shift = shift;
	buf_init(&id, CHAIN_ID_HEX);
	enum err rc = store_reader_meta(from, "chain_id", &id, ei);
	if (rc == OK && (buf_failed(&id) || id.n != CHAIN_ID_HEX))
		rc = ERR(ei, ERR_CORRUPT, "the ledger has no sound chain id");
	if (rc == OK)
		memcpy(w->file.header.chain_id, id.p, CHAIN_ID_HEX);
	buf_fini(&id);
	w->batch = rc == OK ? mem_zalloc(1, sizeof(*w->batch)) : NULL;
	if (rc == OK && w->batch == NULL)
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK) {
		buf_init(&w->batch->values, BATCH_BYTES);
		rc = index_file_open(&w->file, path, from, &is_made, ei);
	}
	if (rc != OK)
		index_writer_free(&w);
	if (is_new != NULL)
		*is_new = is_made;
	*out = w;
	return rc;
}

void
index_writer_free(struct index_writer **w)
{
	if (*w == NULL)
		return;
	OBJ_CHECK(*w, WRITER_MAGIC);
	index_file_close(&(*w)->file);
	if ((*w)->batch != NULL)
		buf_fini(&(*w)->batch->values);
	mem_free((*w)->batch);
	(*w)->magic = 0;
	mem_free(*w);
	*w = NULL;
}

struct chain_head
index_writer_position(const struct index_writer *w)
{
	OBJ_CHECK(w, WRITER_MAGIC);
	return w->file.header.at;
}

/* ---- a batch ---- */

static void
take_field(struct batch *b, uint64_t seq, int field, struct span raw)
{
	struct span value = index_field_value(raw);

	if (value.n == 0)
		return;
	b->entries[b->n++] = (struct entry){.seq = seq,
		.at = (uint32_t)b->values.n,
		.n = (uint8_t)value.n,
		.field = (uint8_t)field};
	buf_add_span(&b->values, value);
}

static bool
take_row(const struct store_row *row, void *arg)
{
	struct batch *b = arg;
	struct span names[INDEX_N_FIELDS + 1];
	struct span values[INDEX_N_FIELDS + 1];
	int64_t at = 0;

	/* The time, then the fields. */
	names[0] = SPAN_LIT("timestamp");
	for (int field = 1; field <= INDEX_N_FIELDS; field++)
		names[field] = span_cstr(index_field_member(field));
	chain_find_members(row->body, names, ARRAY_LEN(names), values);
	for (int field = 1; field <= INDEX_N_FIELDS; field++)
		take_field(b, row->seq, field, values[field]);
	if (clock_parse(index_field_value(values[0]), &at, NULL) == OK) {
		b->times[b->n_times].seq = row->seq;
		b->times[b->n_times++].wall_ns = at;
	}
	b->last.seq = row->seq;
	memcpy(b->last.hash, row->hash, sizeof(b->last.hash));
	b->n_rows++;
	return b->n_rows < STORE_PAGE_MAX;
}

/* In the order of the key, so that neighbours in the file are written together. The values of one
 * batch are compared through it. */
static int
compare_entries(const void *a, const void *b, void *values)
{
	const struct entry *x = a;
	const struct entry *y = b;
	const char *bytes = values;
	size_t n = x->n < y->n ? x->n : y->n;

	if (x->field != y->field)
		return x->field < y->field ? -1 : 1;
	int c = memcmp(bytes + x->at, bytes + y->at, n);
	if (c != 0)
		return c;
	if (x->n != y->n)
		return x->n < y->n ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static bool
is_alike(const struct index_writer *w, const struct entry *x, const struct entry *y)
{
	const char *bytes = w->batch->values.p;

	return x->field == y->field && x->n == y->n &&
	       x->seq >> w->file.header.shift == y->seq >> w->file.header.shift &&
	       memcmp(bytes + x->at, bytes + y->at, x->n) == 0;
}

/* The rows are few where many records have a value: one for the batch. */
static enum err
put_entries(struct index_writer *w, struct errinfo *ei)
{
	struct batch *b = w->batch;
	enum err rc = OK;
	size_t i = 0;

	while (rc == OK && i < b->n) {
		const struct entry *e = &b->entries[i++];
		struct postings p;
		postings_begin(&p, e->seq);
		while (i < b->n && is_alike(w, e, &b->entries[i]) &&
			postings_add(&p, b->entries[i].seq))
			i++;
		db_bind_int(w->file.insert, 1, (int64_t)(e->seq >> w->file.header.shift));
		db_bind_int(w->file.insert, 2, e->field);
		db_bind_blob(w->file.insert, 3, span_of(b->values.p + e->at, e->n));
		db_bind_int(w->file.insert, 4, (int64_t)e->seq);
		db_bind_blob(w->file.insert, 5, postings_bits(&p));
		rc = db_run(w->file.insert, ei);
	}
	return rc;
}

static enum err
put_time(struct index_writer *w, enum index_level level, uint64_t block, int64_t wall_ns,
	struct errinfo *ei)
{
	db_bind_int(w->file.put_time, 1, level);
	db_bind_int(w->file.put_time, 2, (int64_t)block);
	db_bind_int(w->file.put_time, 3, wall_ns);
	return db_run(w->file.put_time, ei);
}

/* The lowest and the highest of each block. */
static enum err
put_times(struct index_writer *w, enum index_level level, unsigned shift, struct errinfo *ei)
{
	struct batch *b = w->batch;
	enum err rc = OK;
	size_t i = 0;

	while (rc == OK && i < b->n_times) {
		uint64_t block = b->times[i].seq >> shift;
		int64_t low = b->times[i].wall_ns;
		int64_t high = low;
		for (; i < b->n_times && b->times[i].seq >> shift == block; i++) {
			low = b->times[i].wall_ns < low ? b->times[i].wall_ns : low;
			high = b->times[i].wall_ns > high ? b->times[i].wall_ns : high;
		}
		rc = put_time(w, level, block, low, ei);
		if (rc == OK)
			rc = put_time(w, level, block, high, ei);
	}
	return rc;
}

static enum err
write_batch(struct index_writer *w, struct errinfo *ei)
{
	struct batch *b = w->batch;
	enum err rc = db_exec(w->file.db, "BEGIN IMMEDIATE", ei);

	if (rc == OK)
		rc = put_entries(w, ei);
	if (rc == OK)
		rc = put_times(w, INDEX_LEVEL_BLOCK, INDEX_BLOCK_SHIFT, ei);
	if (rc == OK)
		rc = put_times(w, INDEX_LEVEL_SEGMENT, w->file.header.shift, ei);
	if (rc == OK)
		rc = index_file_put_number(&w->file, "seq", b->last.seq, ei);
	if (rc == OK)
		rc = index_file_put_meta(&w->file, "hash", b->last.hash, ei);
	if (rc == OK)
		rc = db_exec(w->file.db, "COMMIT", ei);
	if (rc != OK && db_is_in_transaction(w->file.db))
		(void)!db_exec(w->file.db, "ROLLBACK", NULL);
	if (rc == OK)
		w->file.header.at = b->last;
	return rc;
}

enum err
index_writer_add(struct index_writer *w, struct store_reader *from, size_t max, size_t *n,
	struct errinfo *ei)
{
	OBJ_CHECK(w, WRITER_MAGIC);
	struct batch *b = w->batch;
	*n = 0;
	b->n = 0;
	b->n_times = 0;
	b->n_rows = 0;
	buf_reset(&b->values);
	enum err rc = store_reader_page(from, w->file.header.at.seq, max, take_row, b, NULL, ei);
	if (rc == OK && buf_failed(&b->values))
		rc = ERR(ei, ERR_NOMEM, "out of memory");
	if (rc != OK || b->n_rows == 0)
		return rc == ERR_CORRUPT ? ERR_WRAP(ei, ERR_IO, "reading the ledger") : rc;
	qsort_r(b->entries, b->n, sizeof(b->entries[0]), compare_entries, b->values.p);
	rc = write_batch(w, ei);
	if (rc == OK)
		*n = b->n_rows;
	return rc;
}

/* ---- forgetting ---- */

static enum err
forget_times(struct index_writer *w, enum index_level level, uint64_t block, struct errinfo *ei)
{
	db_bind_int(w->file.forget_times, 1, level);
	db_bind_int(w->file.forget_times, 2, (int64_t)block);
	return db_run(w->file.forget_times, ei);
}

enum err
index_writer_prune(struct index_writer *w, uint64_t first, bool *is_done, struct errinfo *ei)
{
	bool has_row = false;
	int64_t segment = 0;
	int64_t field = 0;

	OBJ_CHECK(w, WRITER_MAGIC);
	*is_done = true;
	enum err rc = db_step(w->file.first_segment, &has_row, ei);
	if (rc != OK || !has_row)
		return rc;
	segment = db_column_int(w->file.first_segment, 0);
	field = db_column_int(w->file.first_segment, 1);
	db_reset(w->file.first_segment);
	if (segment >= (int64_t)(first >> w->file.header.shift))
		return OK;
	*is_done = false;
	db_bind_int(w->file.forget_entries, 1, segment);
	db_bind_int(w->file.forget_entries, 2, field);
	rc = db_run(w->file.forget_entries, ei);
	if (rc == OK)
		rc = forget_times(w, INDEX_LEVEL_SEGMENT, first >> w->file.header.shift, ei);
	if (rc == OK)
		rc = forget_times(w, INDEX_LEVEL_BLOCK,
			(first >> w->file.header.shift << w->file.header.shift) >>
				INDEX_BLOCK_SHIFT,
			ei);
	return rc;
}
