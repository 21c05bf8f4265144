/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of configs/starter/ as compiled in, and the marks `{{name}}` in them. Pure; one thread.
 */
#ifndef CLI_STARTER_H
#define CLI_STARTER_H

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;

struct span starter_config(void);
struct span starter_policy(void);
struct span starter_readme(void);
struct span starter_dotenv(void);
struct span starter_allow(void);
struct span starter_deny(void);
struct span starter_write(void);
struct span starter_refund(void);
struct span starter_transfer(void);

struct starter_value {
	const char *name;
	struct span text;
};

/* Appends the text with every mark replaced. A mark without a value is ERR_INVALID: nothing
 * half filled gets out. */
MUSTCHECK enum err starter_fill(struct span text, const struct starter_value *values, size_t n,
	struct buf *out, struct errinfo *ei);

#endif
