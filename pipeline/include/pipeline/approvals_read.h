/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Approvals read from a ledger's file, beside its writer or without one: what the lists and pages of approvals.h show. Nothing is
 * decided here, and nobody's rights are judged. Blocking; one thread.
 */
#ifndef PIPELINE_APPROVALS_READ_H
#define PIPELINE_APPROVALS_READ_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/approvals.h"

struct arena;
struct buf;
struct redactor;
struct store_reader;

struct approvals_file {
	struct store_reader *reader;
	const struct redactor *redactor;
	struct arena *arena;     /* emptied by each call */
	const char *policy_hash; /* in force; NULL: not known */
};

/* Each appends what the route answers. ERR_IO, ERR_CORRUPT, ERR_NOMEM. */
MUSTCHECK enum err approvals_read_list(struct approvals_file *f, const struct approvals_page *page,
	struct buf *out, struct errinfo *ei);
/* Also ERR_NOT_FOUND. */
MUSTCHECK enum err approvals_read_one(
	struct approvals_file *f, struct span approval_id, struct buf *out, struct errinfo *ei);
/* {"approval_id","status","expires_at","expired","scope_type"} (nomos-http.md 7). Also ERR_NOT_FOUND. */
MUSTCHECK enum err approvals_read_brief(
	struct approvals_file *f, struct span approval_id, struct buf *out, struct errinfo *ei);

#endif
