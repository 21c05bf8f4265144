/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A redactor from within: compiled by redactor.c, used by redact.c. */
#ifndef BASE_REDACTOR_H
#define BASE_REDACTOR_H

#include <stdbool.h>
#include <stdint.h>

#include <hs.h>

#define REDACTOR_MAGIC 0x2e1c7a09U

struct redactor {
	unsigned magic;
	uint64_t id;
	hs_database_t *db; /* NULL: everything is replaced */
	bool is_anchored;  /* a pattern may match at the ends of a text only */
};

#endif
