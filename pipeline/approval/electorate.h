/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Who may vote by a snapshot's configuration. Any thread. */
#ifndef PIPELINE_APPROVAL_ELECTORATE_H
#define PIPELINE_APPROVAL_ELECTORATE_H

#include "approval/votes.h"

struct snapshot;

/* Borrows s. */
struct approval_electorate approval_electorate_of(const struct snapshot *s);

#endif
