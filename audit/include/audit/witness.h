/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a receiver outside of this host kept, against a ledger: whether the ledger still has every record that the
 * receiver got, as it got it, and whether the receiver has all of them. Or, where there is no ledger (stateless mode, a host that is
 * gone), the receiver's records by themselves. Blocking; the command line's thread.
 */
#ifndef AUDIT_WITNESS_H
#define AUDIT_WITNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "audit/chain.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/sign.h"

struct source;
struct witness;

#define WITNESS_CHAINS_MAX 1024

/* One of the chains that a receiver has records of, in the order in which they begin there. */
struct witness_chain {
	char id[CHAIN_ID_HEX + 1];
	uint64_t first;
	struct chain_head last; /* the highest number */
	/* What its records say of themselves. */
	bool has_start;                     /* the receiver has its first record */
	bool goes_on;                       /* a seal came before it */
	bool is_stateless;                  /* it ended with its process */
	bool is_disputed;                   /* two first records, or two keys */
	char first_hash[SHA256_HEX + 1];    /* of its first record; "": not here */
	char key_id[SIGN_KEY_ID_HEX + 1];   /* "": not known */
	char previous_id[CHAIN_ID_HEX + 1]; /* the chain it goes on from; "": none, or not known */
	uint64_t previous_seq;              /* where that one was sealed */
	char previous_hash[SHA256_HEX + 1];
	const struct witness_chain *previous; /* that one, when the receiver has it */
};

/* Reads it once, so that a ledger that is opened afterwards has all of it. path: a file or a folder of files, plain or
 * gzip, lines or bodies one behind the other. ERR_INVALID (no record in it), ERR_NOT_FOUND, ERR_IO, ERR_NOMEM, ERR_TOO_LARGE. */
MUSTCHECK enum err witness_open(const char *path, struct witness **out, struct errinfo *ei);
void witness_free(struct witness **w);
/* How many records are held in memory at a time (500,000 when not said; at least 4): more of them are read in portions. */
void witness_set_portion(struct witness *w, size_t n);
size_t witness_get_chains(const struct witness *w, const struct witness_chain **out);

/* A record that the receiver refused and has not, as its dead letter tells of it. */
#define WITNESS_DEAD_SHOWN 16
struct witness_dead {
	uint64_t seq;
	uint64_t intent_seq; /* of an outcome; 0: it is none, or the dead letter does not say */
	char event[40];      /* "": the dead letter does not say */
	char outcome[16];
};

struct witness_verdict {
	bool is_good;
	uint64_t n_records;  /* each once */
	uint64_t n_repeated; /* told again */
	uint64_t first;
	uint64_t last;
	/* Numbers between first and last that the receiver lacks, and that no dead letter it knows of explains. */
	uint64_t n_missing;
	uint64_t n_dead;                              /* the same that one does */
	struct witness_dead dead[WITNESS_DEAD_SHOWN]; /* the first of them */
	size_t n_dead_shown;
	uint64_t n_checkpoints;   /* of witness_judge */
	uint64_t last_checkpoint; /* of witness_judge; 0: none */
	bool is_cut;              /* it ends inside a record */
	bool has_newer_chain;     /* it has a chain that goes on from this one */
	/* The chain that this one goes on from, and where that one was sealed; "": none, or not known. */
	char previous_id[CHAIN_ID_HEX + 1];
	uint64_t previous_seq;
	/* Chains of the receiver that neither go on from this one nor come before it: another gateway's, or those it stands in the place of. */
	uint64_t n_unlinked;
	char unlinked_id[CHAIN_ID_HEX + 1]; /* one of them: that of the reason, if there is one */
	/* Records of the chains that were sealed before this one which lie behind what the seals knew. */
	uint64_t n_lost_behind_seal;
	uint64_t bad_seq; /* 0: it is not about one */
	char reason
		[256]; /* when !is_good: begins with cut off, edited, missing, not here, replaced */
};

struct witness_compared {
	const char *chain_id;
	struct source *source; /* that verify found whole, with the archives before it */
	char *const *archives;
	size_t n_archives;
	struct chain_head head;   /* its last record */
	struct chain_head anchor; /* the record before the first that was read */
	const char *
		accepted; /* ids of other chains, with commas, which an operator knows to be right; NULL: none */
};

/* OK whatever the verdict is. The errors of reading. */
MUSTCHECK enum err witness_compare(struct witness *w, const struct witness_compared *o,
	struct witness_verdict *out, struct errinfo *ei);
/* One chain by itself: links, hashes, and with a key its checkpoints. It may begin anywhere; a number told again must be the same. */
MUSTCHECK enum err witness_judge(struct witness *w, const struct witness_chain *chain,
	const struct sign_key *key, struct witness_verdict *out, struct errinfo *ei);

#endif
