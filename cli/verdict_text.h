/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What `nomos audit verify` says: the verdict on stdout, its limits as warnings. One thread. */
#ifndef CLI_VERDICT_TEXT_H
#define CLI_VERDICT_TEXT_H

#include <stdbool.h>

#include "base/attr.h"

struct verify_result;
struct witness_verdict;

/* Borrowed. */
struct verdict_text {
	const struct verify_result *result;
	char *const *archives; /* the paths that were verified with it */
	const char *key_id;    /* NULL: signatures were not checked */
	/* What a witness says; NULL: none was asked. It is asked only about what is whole by itself. */
	const struct witness_verdict *against;
	bool is_export;
};

/* On stdout, as lines for people or as one line of JSON. False, said so, when memory is out: nothing was printed. */
MUSTCHECK bool verdict_text_print(const struct verdict_text *v, bool is_json);
/* What the verdict does not cover. */
void verdict_text_warn(const struct verdict_text *v);

#endif
