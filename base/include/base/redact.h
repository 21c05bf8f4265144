/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets out of text: the built-in patterns of nomos-policy.md 6.1 and operators' own, every match replaced by
 * [REDACTED], in one linear scan (Hyperscan). A redactor is immutable and shared; the scratch space is per
 * thread. Any thread.
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

/* Built-ins and n patterns of the operator (regular expressions). ERR_INVALID `invalid redaction pattern` naming it. */
MUSTCHECK enum err redactor_new(const struct span *patterns, size_t n, struct redactor **out,
	struct errinfo *ei);
void redactor_free(struct redactor **r);
/* The built-ins only; made at first use, never freed before exit. Never NULL. */
const struct redactor *redactor_default(void);

/* Appends the redacted text to out; true when something was replaced. On an internal failure the whole text
 * becomes [REDACTED] (fail closed). */
bool redact(const struct redactor *r, struct span text, struct buf *out);
/* Whether there is nothing to replace; cheaper than redact for the common case. */
bool redact_is_clean(const struct redactor *r, struct span text);

#endif
