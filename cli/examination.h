/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Doctor's checks of one configuration, for `nomos doctor` and for the running gateway. Blocking; one thread. */
#ifndef CLI_EXAMINATION_H
#define CLI_EXAMINATION_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"

struct doctor_report;

struct examination {
	const char *config; /* as given; NULL: nobody gave one */
	const char *bundle; /* instead of the configured ones; NULL: none */
	const char *only;   /* comma lists of ids (doctor_input); NULL: none */
	const char *skip;
	bool is_deep;
	bool is_running; /* by the gateway itself (doctor_input) */
};

/* Reads the configuration anew. *out is to be given to doctor_report_fini in any case. Only ERR_NOMEM. */
MUSTCHECK enum err examination_run(
	const struct examination *x, struct doctor_report *out, struct errinfo *ei);

#endif
