/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of doctor: what its checks see and how they say what they measured. One thread. */
#ifndef RUNTIME_DOCTOR_CHECKS_H
#define RUNTIME_DOCTOR_CHECKS_H

#include "base/buf.h"
#include "runtime/doctor.h"
#include "doctor_tbl.h"

struct policy;

/* Zero fails. */
enum finding { FINDING_FAIL = 0, FINDING_ADVICE, FINDING_PASS, FINDING_ABSENT };

struct doctor {
	const struct doctor_input *in;
	struct arena *arena;
	struct policy *policy; /* NULL: it does not load */
	struct errinfo policy_error;
	struct buf detail; /* what the check at work measured; the text of an advice */
};

/* Puts the text into detail and returns the finding. */
enum finding doctor_say(struct doctor *d, enum finding finding, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#define X(id, needs, function, title, remedy) enum finding function(struct doctor *d);
DOCTOR_CHECKS(X)
#undef X

/* Whether a process holds the lock of the ledger, as the kernel's table says; nothing is
 * locked to find out. */
bool doctor_ledger_is_held(const struct doctor *d);

#endif
