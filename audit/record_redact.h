/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Redaction of one member of a record. On the record's thread. */
#ifndef AUDIT_RECORD_REDACT_H
#define AUDIT_RECORD_REDACT_H

#include "base/span.h"

struct arena;
struct buf;
struct redactor;

/* Appends the redacted text as a canonical JSON string. */
void record_redact_text(
	const struct redactor *r, struct span text, struct arena *a, struct buf *out);
/*
 * Appends canonical JSON with each string value redacted by itself. When a member name holds a
 * secret, or the text is not what it should be, the whole value becomes "[REDACTED]".
 */
void record_redact_json(
	const struct redactor *r, struct span canonical, struct arena *a, struct buf *out);

#endif
