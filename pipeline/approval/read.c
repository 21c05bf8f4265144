/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The rows of approvals, read by others than the ledger's thread. */
#include "approval/approval_store.h"
#include "approval/approval_view.h"
#include "audit/store.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "claims.h"
#include "pipeline/approvals_read.h"

/* Epoch zero is that of no run, so that the wall clock alone counts. */
static struct approval_view
view_of(const struct approvals_file *f, struct buf *out)
{
	return (struct approval_view){
		.out = out,
		.arena = f->arena,
		.redactor = f->redactor,
		.now = {.wall_ns = clock_wall_ns()},
	};
}

static enum err
read_body(const struct approvals_file *f, enum claim_kind kind, struct approval_key key,
	struct span *out, struct errinfo *ei)
{
	struct buf b;

	buf_init_arena(&b, f->arena, LEDGER_CLAIM_BODY_MAX + 1);
	enum err rc = store_reader_claim_body(f->reader, (uint32_t)kind, key.bytes, &b, ei);
	if (rc == OK && buf_failed(&b))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	*out = rc == OK ? buf_span(&b) : SPAN_NONE;
	return rc;
}

static enum err
find(void *arg, struct approval_key key, struct approval *a, struct errinfo *ei)
{
	const struct approvals_file *f = arg;
	struct span text;
	enum err rc = read_body(f, CLAIM_APPROVAL, key, &text, ei);

	*a = (struct approval){.state = APPROVAL_PENDING};
	return rc == OK ? approval_parse(text, f->arena, a, ei) : rc;
}

enum err
approvals_read_list(struct approvals_file *f, const struct approvals_page *page, struct buf *out,
	struct errinfo *ei)
{
	const struct approval_view view = view_of(f, out);
	struct approval_list list = {.n = 0};
	enum err rc = OK;

	for (int state = 0; rc == OK && state < APPROVAL_STATE__MAX; state++)
		if (approval_list_has(page, (enum approval_state)state))
			rc = store_reader_each_claim(f->reader, CLAIM_APPROVAL, state,
				page->before_seq, page->limit + 1, approval_list_take, &list, ei);

	return rc == OK ? approval_view_add_list(&view, &list, page, find, f, ei) : rc;
}

enum err
approvals_read_one(
	struct approvals_file *f, struct span approval_id, struct buf *out, struct errinfo *ei)
{
	const struct approval_view view = view_of(f, out);
	struct approval_page_facts facts = {
		.policy_hash = f->policy_hash,
		.why_not = "it was read from the ledger's file; the gateway decides",
	};
	struct approval_key key = approval_key_of(approval_id);
	struct approval a;

	arena_reset(f->arena);
	enum err rc = find(f, key, &a, ei);

	if (rc != OK)
		return rc;
	rc = read_body(f, CLAIM_APPROVAL_PARAMS, key, &facts.params, ei);
	return rc == OK || rc == ERR_NOT_FOUND ? approval_view_add_page(&view, &a, &facts, ei) : rc;
}

enum err
approvals_read_brief(
	struct approvals_file *f, struct span approval_id, struct buf *out, struct errinfo *ei)
{
	const struct approval_view view = view_of(f, out);
	struct approval a;

	arena_reset(f->arena);
	enum err rc = find(f, approval_key_of(approval_id), &a, ei);

	if (rc == OK)
		approval_view_add_brief(&view, &a);
	return rc;
}
