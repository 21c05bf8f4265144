/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The search index as a file that index_writer.c fills: made, opened, thrown away, with the statements that
 * fill it. One thread, which may block.
 */
#ifndef AUDIT_INDEX_FILE_H
#define AUDIT_INDEX_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "index_layout.h"

struct db;
struct db_stmt;
struct store_reader;

struct index_file {
	struct db *db;
	struct db_stmt *insert;
	struct db_stmt *put_time;
	struct db_stmt *put_meta;
	struct db_stmt *first_segment;
	struct db_stmt *forget_entries;
	struct db_stmt *forget_times;
	struct index_header header;
};

/*
 * Opens the file beside the ledger at path, which `from` reads. f is zero but for the chain id and the shift in its
 * header; one that does not fit them, or is of no use for another reason, is made anew, and *is_new says so. ERR_IO,
 * ERR_BUSY, ERR_NOMEM, ERR_CORRUPT (of the ledger). To be closed in any case.
 */
MUSTCHECK enum err index_file_open(struct index_file *f, const char *path,
	struct store_reader *from, bool *is_new, struct errinfo *ei);
void index_file_close(struct index_file *f);
/* In the transaction that is open. */
MUSTCHECK enum err index_file_put_meta(
	struct index_file *f, const char *key, const char *value, struct errinfo *ei);
MUSTCHECK enum err index_file_put_number(
	struct index_file *f, const char *key, uint64_t value, struct errinfo *ei);
/* Removes the file of the ledger at path and what lies beside it. ERR_IO. */
MUSTCHECK enum err index_file_remove(const char *path, struct errinfo *ei);

#endif
