/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of telemetry to stdout: whole or not at all; only of what a terminal took the beginning of, when its reader stays away, that
 * is left, and the next line begins anew. It waits for a reader who is slow, which only the exporter's thread may.
 */
#ifndef OUTBOUND_LINE_OUT_H
#define OUTBOUND_LINE_OUT_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/span.h"

/* False when the line is lost: nobody reads any more, it is too long to be written at once, or is_stopping says so while nobody
 * reads. */
MUSTCHECK bool line_out_stdout(
	struct span line, bool (*is_stopping)(const void *arg), const void *arg);

#endif
