/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a sink beside its cursor, and how the ledger keeps it: canonical JSON in the table
 * meta, so that `nomos audit sinks` sees it with and without a running gateway. Pure; any thread.
 */
#ifndef AUDIT_SINK_STATUS_H
#define AUDIT_SINK_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/span.h"

struct buf;

#define SINK_STATUS_META "sink:" /* and the sink's name */
#define SINK_TEXT_MAX 256
#define SINK_STATUS_BYTES_MAX 4096

struct sink_status {
	bool is_required;
	char target[SINK_TEXT_MAX];
	char error[SINK_TEXT_MAX];  /* of the last delivery; "" when it worked */
	char since[CLOCK_TEXT_MAX]; /* when deliveries began to fail; "" when they work */
	uint64_t n_dead;            /* records that were refused for good */
	uint64_t last_dead;         /* the last of them; 0: none */
};

/* Cut to what fits, at a character's border. */
void sink_status_set_text(char out[SINK_TEXT_MAX], const char *text);
void sink_status_build(const struct sink_status *s, struct buf *out);
/* Texts longer than fit are cut. ERR_PARSE, ERR_NOMEM. */
MUSTCHECK enum err sink_status_parse(struct span text, struct sink_status *out, struct errinfo *ei);

#endif
