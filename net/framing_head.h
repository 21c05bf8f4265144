/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading the lines of a request head that framing.c has found whole and free of stray control
 * bytes. Pure. */
#ifndef NET_FRAMING_HEAD_H
#define NET_FRAMING_HEAD_H

#include "base/attr.h"
#include "base/span.h"
#include "framing.h"

/* The request line without its CRLF; sets method, version and the place of the target (line
 * begins at line_at of head). */
MUSTCHECK enum gate_refusal framing_read_line(struct framing *f, struct span line);
/* All header lines with their CRLFs, without the empty line; n_lines of them. Sets all that the
 * head says. */
MUSTCHECK enum gate_refusal framing_read_headers(struct framing *f, struct span lines);

#endif
