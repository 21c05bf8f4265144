/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The records that a receiver kept: a file or a folder of files (in natural order of their names), plain or gzip, one record per
 * line or bodies one behind the other, among whatever else stands there. Nothing in it is believed. Blocking; the command line's
 * thread.
 */
#ifndef AUDIT_WITNESS_READER_H
#define AUDIT_WITNESS_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

/* A record by its form: it names a chain, a number and a hash. */
struct witness_record {
	struct span body;
	struct span hash; /* 64 bytes, as it says itself */
	struct chain_fields f;
};

/* False from visit ends the reading. Spans are valid during the call. *is_cut: the last file ends inside a record. */
typedef bool (*witness_visit_fn)(const struct witness_record *r, void *arg);
MUSTCHECK enum err witness_read(
	const char *path, witness_visit_fn visit, void *arg, bool *is_cut, struct errinfo *ei);

#endif
