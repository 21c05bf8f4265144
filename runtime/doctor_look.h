/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs rows of checks so that it ends, whatever they look at: a file on a mount whose server is gone holds its reader for ever. They run
 * on a thread that is left behind when one of them does not end; the next thread goes on behind it. What holds such a thread fails at once in every later look. Blocking; one caller for each look.
 */
#ifndef RUNTIME_DOCTOR_LOOK_H
#define RUNTIME_DOCTOR_LOOK_H

#include "doctor_checks.h"

enum doctor_needs { NOTHING = 0, CONFIG, STRONG, DEEP, OFFLINE };

struct doctor_row {
	const char *id;
	enum doctor_needs needs;
	enum finding (*check)(struct doctor *d);
	const char *title;
	const char *passes;
	const char *remedy;
};

struct doctor_look {
	const struct doctor_row *rows; /* static */
	size_t n_rows;
	int64_t first_ns; /* for each check, but for those that need DEEP, which take what they take ... */
	int64_t next_ns; /* ... and for each once one has not ended */
	/* What the checks see, before the first of them; each as long as one of them. Every thread measures; none loads what an earlier one is stuck at. */
	void (*measure)(struct doctor *d);
	void (*load)(struct doctor *d);
	bool (*is_wanted)(const struct doctor_input *in, const char *id);
};

/* As doctor_run; out->policy_hash and what follows it are of the policy that load loaded. */
MUSTCHECK enum err doctor_look_run(const struct doctor_look *how, const struct doctor_input *in,
	struct doctor_report *out, struct errinfo *ei);

#endif
