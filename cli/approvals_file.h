/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Approvals as the ledger of a configuration has them, with or without a gateway that runs (decisions 19, 30). Read-only. One thread. */
#ifndef CLI_APPROVALS_FILE_H
#define CLI_APPROVALS_FILE_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct approvals_page;
struct buf;

/*
 * Appends what GET /api/ui/approvals answers for that page, or with an id, of which page says nothing, what
 * GET /api/ui/approvals/{id} does. Errors name what is wrong: ERR_INVALID, ERR_NOT_FOUND, those of source_open and of the
 * configuration, whose issues have been printed then.
 */
MUSTCHECK enum err approvals_file_read(const char *config, struct span id,
	const struct approvals_page *page, struct buf *out, struct errinfo *ei);

#endif
