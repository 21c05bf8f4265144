/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See comma_list.h. */
#include "comma_list.h"

bool
comma_list_next(struct span *list, struct span *word)
{
	while (list->n > 0) {
		size_t at = span_find(*list, ',');
		*word = span_trim(span_of(list->p, at));
		*list = span_from(*list, at < list->n ? at + 1 : at);
		if (word->n > 0)
			return true;
	}
	return false;
}
