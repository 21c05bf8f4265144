/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos doctor --watch: examines again and again, and says what changed. One thread. */
#ifndef CLI_DOCTOR_WATCH_H
#define CLI_DOCTOR_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct examination;

struct doctor_watch {
	const struct examination *examination;
	int64_t interval_ns; /* from the end of one look to the next */
	bool is_json;
	bool is_strict; /* advice fails too */
};

/* Until SIGINT, SIGTERM, or the end of whoever reads stdout. The exit status of the last report. */
int doctor_watch_run(const struct doctor_watch *w);

#endif
