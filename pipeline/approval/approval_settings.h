/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a snapshot keeps of the section `approvals`: copied, immutable; any thread. */
#ifndef PIPELINE_APPROVAL_SETTINGS_H
#define PIPELINE_APPROVAL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "approval/approval.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "pipeline/approval_options.h"

struct arena;
struct secret;

struct approval_user {
	struct span id;
	struct span principal;
};

struct approval_relay {
	struct secret *token; /* NULL: there is no such route */
	struct span principal;
	const struct approval_user *users; /* ordered by id */
	size_t n_users;
};

struct approval_settings {
	bool is_enabled;
	int64_t ttl_ns;
	int64_t denial_ns;
	size_t max_pending;
	size_t max_pending_per_identity;
	size_t max_waiting;
	size_t max_waiting_per_principal;
	int64_t max_wait_ns;
	struct approval_relay relays[CHANNEL__MAX]; /* WEBHOOK, SLACK, TEAMS */
};

/* ERR_NOMEM; what was filled has to be cleared all the same. */
MUSTCHECK enum err approval_settings_fill(struct approval_settings *s,
	const struct approvals_section *o, struct arena *a, struct errinfo *ei);
/* Wipes the tokens. */
void approval_settings_clear(struct approval_settings *s);

/* Whether the relay's route exists and this is its token, in constant time. */
bool approval_relay_has_token(const struct approval_relay *r, struct span token);
/*
 * Who decides when the relay brings a decision of that user: the mapped principal, asserted by the relay, or, without any
 * mapping, the relay itself. ERR_FORBIDDEN for a user who is not mapped.
 */
MUSTCHECK enum err approval_relay_find_voter(const struct approval_relay *r, struct span user,
	struct span *approver, struct span *asserted_by);
/* Whether the relay could still bring what it brought: its route exists, and its table names this approver. */
bool approval_relay_speaks_for(
	const struct approval_relay *r, struct span approver, struct span asserted_by);

#endif
