/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * An approval as people see it, redacted like a record: rows of lists, whole pages, the few members beside an action. Whoever has
 * read it shows it, the ledger's thread or a reader of the file. One thread.
 */
#ifndef PIPELINE_APPROVAL_VIEW_H
#define PIPELINE_APPROVAL_VIEW_H

#include "approval/approval.h"
#include "approval/approval_store.h"
#include "audit/ledger.h"
#include "base/attr.h"
#include "base/err.h"
#include "pipeline/approvals.h"

struct arena;
struct approval_electorate;
struct buf;
struct redactor;

struct approval_view {
	struct buf *out;
	struct arena *arena; /* also what the approval borrows from */
	const struct redactor *redactor;
	struct approval_moment now;
	const struct approval_electorate *electorate; /* NULL: all votes count */
};

/* What is asked for: for people and for the agent itself. */
void approval_view_add_summary(const struct approval_view *v, const struct approval *a);

/*
 * The claims of a page, and of one more. Each state is asked for by itself, the newest first and so many, since an index leads
 * to them only by state; approval_list_take gets them one by one.
 */
struct approval_list {
	struct approval_place {
		struct approval_key key;
		uint64_t seq;
	} places[APPROVAL_STATE__MAX * (APPROVALS_PAGE_MAX + 1)];
	size_t n;
};
/* Whether the page has approvals that are stored in this state. */
bool approval_list_has(const struct approvals_page *page, enum approval_state state);
bool approval_list_take(const struct ledger_claim *c, void *list);
/* Reads one into the view's arena; ERR_NOT_FOUND and ERR_CORRUPT leave it out. */
typedef enum err (*approval_find_fn)(
	void *arg, struct approval_key key, struct approval *a, struct errinfo *ei);
MUSTCHECK enum err approval_view_add_list(const struct approval_view *v, struct approval_list *list,
	const struct approvals_page *page, approval_find_fn find, void *arg, struct errinfo *ei);

/* What is known of it beside the approval. */
struct approval_page_facts {
	struct span params;      /* stored; empty: there are none */
	const char *policy_hash; /* in force; NULL: not known */
	const char *why_not;     /* why the reader cannot decide; "": he can */
};
/* All of it. ERR_CORRUPT, ERR_NOMEM. */
MUSTCHECK enum err approval_view_add_page(const struct approval_view *v, const struct approval *a,
	const struct approval_page_facts *facts, struct errinfo *ei);
/* {"approval_id","status","expires_at","expired","scope_type"}, as it stands beside an action. */
void approval_view_add_brief(const struct approval_view *v, const struct approval *a);

#endif
