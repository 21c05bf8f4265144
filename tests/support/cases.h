/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Corpora of rows: tests/corpus/<topic>/<name>.cases. One row per line, fields divided by one tab, '#' starts a comment line. A
 * field in double quotes has the escapes \\ \" \n \r \t \xHH (a byte) and \uHHHH (a code point); others are taken as they are.
 */
#ifndef TESTS_SUPPORT_CASES_H
#define TESTS_SUPPORT_CASES_H

#include <stddef.h>

#include "base/span.h"

#define CASES_FIELDS_MAX 8

struct cases_row {
	const char *file;
	int line;
	size_t n;
	struct span field[CASES_FIELDS_MAX]; /* missing ones are empty */
};

typedef void (*cases_row_fn)(const struct cases_row *row, void *arg);

/* Calls fn for each row of tests/corpus/<name> and returns their number. A file that cannot be read or is malformed ends the
 * test program with status 2. Rows are valid during the call only. */
size_t cases_each(const char *name, cases_row_fn fn, void *arg);

#endif
