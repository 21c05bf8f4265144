/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Whom a verified token named: a counted object that does not change, kept by whoever still speaks of that person. Any thread. */
#ifndef PIPELINE_IDENTITY_TOKEN_HOLDER_H
#define PIPELINE_IDENTITY_TOKEN_HOLDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/jose.h"
#include "base/span.h"
#include "identity/token_rules.h"

struct token_holder {
	struct span principal;
	const struct span *groups;
	size_t n_groups;
	int64_t expires_wall_ns;          /* of the token, without leeway */
	struct jose_thumb key;            /* that verified it */
	uint8_t rules_hash[SHA256_BYTES]; /* of the rules it was judged by */
};

/* Copies all. NULL when memory is out. */
MUSTCHECK struct token_holder *token_holder_new(
	const struct token_facts *facts, struct span principal_prefix);
struct token_holder *token_holder_ref(struct token_holder *h);
/* Accepts NULL. */
void token_holder_unref(struct token_holder **h);

#endif
