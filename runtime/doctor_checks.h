/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The inside of doctor: what its checks see and how they say what they measured. One thread. */
#ifndef RUNTIME_DOCTOR_CHECKS_H
#define RUNTIME_DOCTOR_CHECKS_H

#include "base/buf.h"
#include "runtime/doctor.h"
#include "doctor_tbl.h"
#include "measure.h"

struct policy;

/* Zero fails. */
enum finding { FINDING_FAIL = 0, FINDING_ADVICE, FINDING_PASS, FINDING_ABSENT };

struct doctor {
	const struct doctor_input *in;
	struct arena *arena;
	struct policy *policy; /* NULL: it does not load */
	struct errinfo policy_error;
	struct buf detail;         /* what the check at work measured; the text of an advice */
	struct measured_host host; /* only with runtime.strong_guarantee */
	size_t n_strong_open;      /* strong checks that failed already, or are left out */
};

/* Puts the text into detail and returns the finding. */
enum finding doctor_say(struct doctor *d, enum finding finding, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

#define X(id, needs, function, title, passes, remedy) enum finding function(struct doctor *d);
DOCTOR_CHECKS(X)
#undef X

/* Passes when it is so. */
enum finding doctor_pass_if(bool is_ok);

/* Whether a process holds the lock of the ledger, as the kernel's table says; nothing is
 * locked to find out. */
bool doctor_ledger_is_held(const struct doctor *d);

/* The file system below the folder of path. False when it cannot be asked. */
enum doctor_disk {
	DOCTOR_DISK_LOCAL = 0,
	DOCTOR_DISK_NETWORK,
	DOCTOR_DISK_MEMORY,
	DOCTOR_DISK_LAYER /* of a container, and goes with it */
};
bool doctor_find_disk(const struct doctor *d, enum doctor_disk *out, const char **name);
/* Whether its file is there. */
bool doctor_has_ledger(const struct doctor *d);

/* Of what adjtimex said; state -1: nothing. */
enum finding doctor_judge_clock(struct doctor *d, int state, int status);

struct jose_keys;
/* Keys of tokens out of a file. As fdio_read_file and jose_keys_parse. */
MUSTCHECK enum err doctor_load_keys(struct span path, struct jose_keys **out, struct errinfo *ei);

#endif
