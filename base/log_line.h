/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One line of the log as text: redacted, escaped, bounded. Any thread. */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include <stdbool.h>

#include "base/log.h"

struct buf;

struct log_line {
	const char *label;  /* "INFO"; the JSON form lowers it */
	const char *colour; /* escape sequence for the label, NULL for none */
	const char *module; /* "net"; NULL: none is said. The JSON form alone has it */
	const struct log_subject *about;
	struct span text; /* as formatted, not yet redacted */
};

/* Empties out and puts the line with its newline there; out's cap is BUF_CAP_LOG_LINE. False
 * when memory is out. */
MUSTCHECK bool log_line_json(const struct log_line *line, struct buf *out);
/* The same as "[INFO] text", control characters shown as \xNN. */
MUSTCHECK bool log_line_text(const struct log_line *line, struct buf *out);

#endif
