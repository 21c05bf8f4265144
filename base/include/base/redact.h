/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets out of text: the built-in patterns of nomos-policy.md 6.1 and operators' own, every match
 * replaced by [REDACTED], in one linear scan (Hyperscan). A redactor is immutable and shared; the
 * scratch space is per thread. Any thread.
 */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;
struct redactor;

/*
 * The built-ins and n patterns of the operator: PCRE syntax as Hyperscan takes it, matched on
 * bytes, `.` not on a line end. What matches the empty text, looks around or refers back is refused. Of
 * several ends of a match the farthest counts, also for `.*?`. At most 256 patterns of 4,096 bytes.
 * Compiling takes milliseconds: at start and reload, not per request.
 * ERR_INVALID `invalid redaction pattern "...": why`; ERR_NOMEM.
 */
MUSTCHECK enum err redactor_new(
	const struct span *patterns, size_t n, struct redactor **out, struct errinfo *ei);
/* Accepts a pointer to NULL. No thread may be using *r any more. */
void redactor_free(struct redactor **r);
/*
 * The built-ins only; made at first use (about 8 ms of CPU: call it once at start), never freed
 * before exit. Never NULL: if it cannot be made, it replaces everything.
 */
const struct redactor *redactor_default(void);

/*
 * Appends the redacted text to out; true when something was replaced. Overlapping matches become
 * one [REDACTED]. On an internal failure the whole text becomes [REDACTED] (fail closed). Redact a
 * value whole, before it is cut.
 */
bool redact(const struct redactor *r, struct span text, struct buf *out);
/* Whether there is nothing to replace; cheaper than redact for the common case. */
bool redact_is_clean(const struct redactor *r, struct span text);
/*
 * One look for many texts. all holds each of them whole, between line ends, quotes that no backslash stands
 * before (such a quote is part of an assignment), or its own ends. True:
 * redact_is_clean holds for every one. False says nothing: each has to be looked at by itself.
 */
bool redact_is_inert(const struct redactor *r, struct span all);

#endif
