/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What this build is; set by CMake from the project version and the source's revision. Any thread. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#include <stdbool.h>

struct version {
	const char *version;    /* "0.1.0" */
	const char *commit;     /* full hex, or "unknown" */
	const char *build_date; /* RFC 3339 of the revision, or "unknown" */
	const char *compiler;   /* "gcc-12.2.0" */
	bool modified;          /* the tree had changes */
};

const struct version *version_get(void);

#endif
