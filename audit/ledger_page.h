/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sink that has fallen behind the ring is given: the next records as the store's file has them, one behind the other, none
 * left out. It must never touch the writer's connection. The sink's own thread.
 */
#ifndef AUDIT_LEDGER_PAGE_H
#define AUDIT_LEDGER_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct ledger_batch;
struct store_reader;

/* At most max records; the first is the one behind `after`. *reader is opened when it is NULL, and freed after a fault; what was read
 * before the fault is OK, the next call meets it again. Nothing is in out but with OK. */
MUSTCHECK enum err ledger_page_read(const char *path, struct store_reader **reader, uint64_t after,
	size_t max, struct ledger_batch *out, struct errinfo *ei);

#endif
