/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a prepared query asks for, for the index. Private to query.c, index_scan.c and search.c. */
#ifndef AUDIT_QUERY_TERMS_H
#define AUDIT_QUERY_TERMS_H

#include <stdbool.h>
#include <stddef.h>

#include "audit/query.h"
#include "index_layout.h"

struct query_term {
	enum index_field field;
	struct span value; /* as index_field_value gives it; borrowed from the query */
	bool is_prefix;
};

/* Returns how many; at most INDEX_N_FIELDS. */
size_t query_get_terms(const struct query *q, struct query_term out[INDEX_N_FIELDS]);
/* Only its times are set. */
const struct query_filter *query_get_times(const struct query *q);

#endif
