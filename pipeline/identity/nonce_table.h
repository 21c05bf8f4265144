/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The nonces that signers have used, for as long as their timestamps are within the window, so that a request that was seen
 * cannot be sent again (decisions 39). In memory: timestamps from before the process are refused, and so are those whose nonces were
 * forgotten already, when the clock went back. Bounded in all and for each signer, who can use up nobody's share but its own.
 * What is kept of a nonce is a seeded hash of 64 bits. Any thread; short locks, spread over shards; no allocation but growth.
 */
#ifndef PIPELINE_NONCE_TABLE_H
#define PIPELINE_NONCE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

struct nonce_table;

/* NONCE_WINDOW_MAX_S is in pipeline/identity_options_tbl.h. */

/* Of a snapshot: they may change with a reload. */
struct nonce_limits {
	int64_t window_s; /* a timestamp may be so far from now, either way; 1 to NONCE_WINDOW_MAX_S */
	size_t max;
	size_t max_per_signer;
};

enum nonce_verdict {
	NONCE_OUT_OF_WINDOW = 0,
	NONCE_BEFORE_START,
	NONCE_FORGOTTEN, /* the clock went back: it cannot be told whether it was used */
	NONCE_USED,
	NONCE_SHARE_FULL, /* of that signer */
	NONCE_TABLE_FULL, /* or memory is out */
	NONCE_FRESH,      /* the only one that lets a request pass; it is used now */
	NONCE__MAX
};

/* For the log. Static. */
const char *nonce_verdict_text(enum nonce_verdict v);

/* NULL when memory is out. */
MUSTCHECK struct nonce_table *nonce_table_new(void);
void nonce_table_free(struct nonce_table **t);

/* Who signs: services and agents are apart from each other. */
enum nonce_signer { NONCE_AGENT = 0, NONCE_SERVICE };
struct nonce {
	enum nonce_signer kind;
	struct span signer; /* its id: one that is configured */
	struct span text;   /* signed_form_is_nonce */
	int64_t time_s;     /* its timestamp */
};
/* Only of a signature that was verified: nobody else may fill the table. */
MUSTCHECK enum nonce_verdict nonce_table_use(
	struct nonce_table *t, const struct nonce_limits *limits, const struct nonce *nonce);
size_t nonce_table_count(const struct nonce_table *t);

#endif
