/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of what our own code guarantees. They stay in every build type and are never used on
 * input: input gets an enum err. A failed check prints file, line and expression and aborts.
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

#include "base/attr.h"

NORETURN void must_failed(const char *file, int line, const char *what);

#define MUST(x) ((x) ? (void)0 : must_failed(__FILE__, __LINE__, #x))
#define UNREACHABLE(why) must_failed(__FILE__, __LINE__, "unreachable: " why)

/* Long-lived structs start with `unsigned magic`; OBJ_CHECK at module borders, OBJ_CAST in void
 * * callbacks. */
#define OBJ_CHECK(obj, wanted) MUST((obj) != NULL && (obj)->magic == (wanted))
#define OBJ_CAST(to, from, wanted)                                                                 \
	do {                                                                                       \
		(to) = (from);                                                                     \
		OBJ_CHECK(to, wanted);                                                             \
	} while (0)

#endif
