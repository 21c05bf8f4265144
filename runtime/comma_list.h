/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Words of a comma list as operators write them: blanks around a word and empty words do not count. Pure; any thread. */
#ifndef RUNTIME_COMMA_LIST_H
#define RUNTIME_COMMA_LIST_H

#include <stdbool.h>

#include "base/span.h"

/* The next word, a piece of the list, which goes on behind it; false at its end. */
bool comma_list_next(struct span *list, struct span *word);

#endif
