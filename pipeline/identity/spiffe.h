/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE IDs by their specification: spiffe://TRUST_DOMAIN/PATH and nothing else; no port, user, query, fragment or escapes. There
 * is one spelling of an ID, so they are compared byte by byte. Pure; any thread.
 */
#ifndef PIPELINE_IDENTITY_SPIFFE_H
#define PIPELINE_IDENTITY_SPIFFE_H

#include <stdbool.h>

#include "base/span.h"

#define SPIFFE_ID_BYTES_MAX 2048

struct spiffe_id {
	struct span trust_domain;
	struct span
		path; /* begins with a slash, and is not only that: who has no path is no workload */
};

/* False leaves *out empty. */
bool spiffe_id_parse(struct span text, struct spiffe_id *out);
bool spiffe_trust_domain_is_valid(struct span name);
bool spiffe_path_is_valid(struct span path);

#endif
