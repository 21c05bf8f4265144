/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reports as JSON documents. The only user of cJSON. Cold; one thread. */
#ifndef CLI_DOCUMENT_H
#define CLI_DOCUMENT_H

#include "base/attr.h"
#include "base/err.h"

struct buf;
struct doctor_report;

/* Appends the report as one line of JSON with its newline (nomos-mcp-cli.md 2). ERR_NOMEM. */
MUSTCHECK enum err document_build_doctor(const struct doctor_report *report,
	const char *engine_version, struct buf *out, struct errinfo *ei);

#endif
