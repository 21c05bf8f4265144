/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of the operator page (decisions 40): an API key or a signed token is exchanged for a random one, of which only the hash is
 * kept. A session ends after SESSION_LIFE_NS, with the signed token, after SESSION_IDLE_NS without use, when it is closed, and as
 * soon as its key, the key that signed the token, or a role that its principal had when it began, is no longer there. The table is bounded: at a key's or the table's limit the session
 * that was used longest ago gives way. Any thread; a short lock inside.
 */
#ifndef PIPELINE_SESSION_H
#define PIPELINE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/span.h"
#include "pipeline/req.h"

struct session_table;
struct snapshot;

#define SESSION_LIFE_NS (8 * 3600 * NS_PER_SEC)
#define SESSION_IDLE_NS (30 * 60 * NS_PER_SEC)
#define SESSIONS_MAX 512
#define SESSIONS_PER_KEY_MAX 16
/* Lower-case hex of 32 random bytes. */
#define SESSION_TOKEN_BYTES 64

/* A session as a request sees it: a plain value. */
struct session {
	struct caller
		caller; /* by the session's key, as of now; whoever was given the session drops it */
	int64_t expires_wall_ns; /* at the latest */
	char csrf[SHA256_HEX +
		  1]; /* made of the token, so that nobody has it who has not the token */
};

/* NULL when memory is out. */
MUSTCHECK struct session_table *session_table_new(void);
void session_table_free(struct session_table **t);

/* By an API key or a signed token. ERR_AUTH: no such key, by the same work as a known one; ERR_FORBIDDEN: its principal has no role; ERR_CRYPTO. */
MUSTCHECK enum err session_open(struct session_table *t, const struct snapshot *s,
	struct span credential, struct span client_address, char token[SESSION_TOKEN_BYTES + 1],
	struct session *out);
/* Counts as use. ERR_AUTH: there is none with that token from that address, or it has ended. */
MUSTCHECK enum err session_find(struct session_table *t, const struct snapshot *s,
	struct span token, struct span client_address, struct session *out);
/* The same, but no use: for what goes on by itself. */
MUSTCHECK enum err session_peek(struct session_table *t, const struct snapshot *s,
	struct span token, struct span client_address, struct session *out);
/* A token that is not known does nothing. */
void session_close(struct session_table *t, struct span token);

/* One failed sign-in from an address (IPv6: one /64): false when there were too many lately, and *wait_s says how long not to come back. */
MUSTCHECK bool session_note_failure(
	struct session_table *t, struct span client_address, uint32_t *wait_s);

#endif
