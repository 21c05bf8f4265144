/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A source, and the two ways to read one. Private to source*.c. */
#ifndef AUDIT_SOURCE_PRIV_H
#define AUDIT_SOURCE_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/source.h"
#include "base/attr.h"
#include "base/buf.h"

/* The longest line of an export, and the longest body of a row that is looked at. */
#define SOURCE_LINE_BYTES_MAX (2 * (size_t)BUF_CAP_RECORD)

struct source_page;

struct source {
	unsigned magic;
	enum source_kind kind;
	bool is_live;
	struct store_reader *reader; /* ledger */
	struct source_page *page;    /* ledger */
	struct chain_head head;
	int fd;          /* export; -1 otherwise */
	struct buf line; /* export: the line being read */
	struct buf body;
	struct buf trailer;
};

/* source_rows.c; NULL when memory is out */
MUSTCHECK struct source_page *source_page_new(void);
void source_page_free(struct source_page **p);
/* The two of source_each. */
MUSTCHECK enum err source_each_row(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei);
MUSTCHECK enum err source_each_line(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei);

#endif
