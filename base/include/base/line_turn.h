/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose line it is on stdout, when several threads write there: who has begun a line ends it before another begins one, however
 * many writes that takes. Any thread; who takes need not be who gives.
 */
#ifndef BASE_LINE_TURN_H
#define BASE_LINE_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/* Waits for so long at most; INT64_MAX: for ever. */
MUSTCHECK bool line_turn_take(int64_t wait_ns);
void line_turn_give(void);
/* Who has the turn: whether the last line was left half, so that a line's end has to come before the next one. */
MUSTCHECK bool line_turn_is_torn(void);
void line_turn_set_torn(bool is_torn);

#endif
