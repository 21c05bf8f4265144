/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the claims of a verified token have to say, and who its bearer is by them (RFC 7519 4.1). Times are those of the token, in
 * seconds; nothing is looked up. Pure; any thread.
 */
#ifndef PIPELINE_IDENTITY_TOKEN_RULES_H
#define PIPELINE_IDENTITY_TOKEN_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/jose.h"
#include "base/span.h"

#define PRINCIPAL_BYTES_MAX 256
#define TOKEN_GROUPS_MAX 256

/* Borrowed from whoever configured them. */
struct token_rules {
	struct span issuer;
	struct span audience;
	struct span principal_claim;
	struct span principal_prefix; /* may be empty */
	struct span groups_claim;     /* empty: groups are not read */
	int64_t leeway_s;
	int64_t max_lifetime_s;
};

/* Spans are in the token's tree. */
struct token_facts {
	struct span subject; /* the principal without its prefix */
	struct span groups[TOKEN_GROUPS_MAX];
	size_t n_groups;
	int64_t expires_s; /* without leeway */
};

/* ERR_AUTH with the reason, for the log. */
MUSTCHECK enum err token_judge(const struct token_rules *rules, const struct jose_token *token,
	int64_t now_s, struct token_facts *out, struct errinfo *ei);
/* Whether the token says that it is of this issuer, true or not. */
bool token_is_of_issuer(const struct token_rules *rules, const struct jose_token *token);

#endif
