/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the sinks of a ledger are, read from its file, also beside a running gateway. What a sink says about
 * itself is at most as old as its last change. Blocking; the command line's thread.
 */
#ifndef AUDIT_SINK_REPORT_H
#define AUDIT_SINK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct source;

/* Spans and texts are valid during the visit. */
struct sink_report {
	const char *name;   /* "webhook:…", "file:…", "stdout"; no secret in it */
	const char *target; /* where it goes; no secret in it */
	uint64_t taken;     /* the last record it has */
	uint64_t n_behind;  /* records it has not */
	int64_t behind_ns;  /* age of the oldest of them */
	bool is_required;   /* decisions wait for it */
	const char *error;  /* of the last delivery; "" when it worked */
	const char *since;  /* when deliveries began to fail; "" */
	uint64_t n_dead;    /* records it refused for good */
	uint64_t last_dead; /* the last of them; 0: none */
};

/* False from visit ends it. A ledger of stateless mode has no file. ERR_INVALID (an export), and the errors of the
 * store. */
typedef bool (*sink_report_fn)(const struct sink_report *r, void *arg);
MUSTCHECK enum err sink_report_each(
	struct source *s, int64_t now_wall_ns, sink_report_fn visit, void *arg, struct errinfo *ei);

#endif
