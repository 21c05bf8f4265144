/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The small text files beside a ledger: its head, its seal. Blocking. */
#ifndef AUDIT_CHECKPOINT_FILE_H
#define AUDIT_CHECKPOINT_FILE_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;

/* Gives the text of a file of at most max bytes, trimmed, to parse, whose errors get the path. */
MUSTCHECK enum err checkpoint_read_file(const char *path, size_t max,
	enum err (*parse)(struct span text, void *out, struct errinfo *ei), void *out,
	struct errinfo *ei);
/* Replaces the file. ERR_NOMEM when the text failed; ERR_IO. */
MUSTCHECK enum err checkpoint_write_file(
	const char *path, const struct buf *text, struct errinfo *ei);

#endif
