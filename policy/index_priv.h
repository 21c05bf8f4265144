/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What building and looking up an index share: the tables, the shapes and how keys are hashed. */
#ifndef POLICY_INDEX_PRIV_H
#define POLICY_INDEX_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"
#include "index.h"

/*
 * Leading literal segments and tokens that take part in a key. More only sharpens what is sharp
 * already.
 */
#define INDEX_DEPTH_MAX 12
#define INDEX_ARGV_MAX 2
#define INDEX_BITS_PER_SLOT 4

/* Which literals a key is made of. */
struct index_shape {
	uint8_t depth;  /* segments of the resource */
	uint8_t n_argv; /* tokens */
	bool has_tail;  /* last segment of the resource */
	bool has_name[RULE_WHO__MAX];
};

/* Hashes of the literals of an action, or of a rule at its shape. */
struct index_parts {
	uint64_t prefix[INDEX_DEPTH_MAX + 1]; /* [d]: the first d segments */
	uint64_t argv[INDEX_ARGV_MAX + 1];    /* [k]: the first k tokens */
	uint64_t tail;
	uint32_t depth; /* segments there are, at most INDEX_DEPTH_MAX */
	uint32_t n_argv;
	uint32_t who[RULE_WHO__MAX];
};

struct index_slot {
	uint64_t key;
	uint32_t first; /* the rule, or where several begin in index_group.rules */
	uint32_t n;     /* zero: free */
};

struct index_group {
	struct span action_type;
	const struct index_shape *shapes;
	uint32_t n_shapes;
	struct index_slot *slots; /* open addressing, a power of two, at most half full */
	uint32_t mask;
	uint32_t *rules;
	/*
	 * A bit for each key, four times as many bits as slots. Most keys that an action is looked up
	 * by are in no slot; the bits tell nine of ten so, and stay in the cache where the slots do not.
	 */
	uint8_t *bits;
};

struct index_name {
	struct span text;
	uint32_t id; /* zero: free */
};

struct index {
	struct index_name *names; /* open addressing */
	uint32_t names_mask;
	uint32_t n_names;
	struct index_group **groups; /* open addressing by action type */
	uint32_t groups_mask;
	struct index_group *any; /* rules for "*", or NULL */
	uint32_t depth_max;      /* deepest shape in use */
};

/*
 * FNV-1a. The tables hold only what the operator wrote, so keys chosen by an agent cannot fill
 * them; a seed is not needed.
 */
#define INDEX_HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t
index_hash_byte(uint64_t h, unsigned char c)
{
	return (h ^ c) * UINT64_C(0x100000001b3);
}

static inline uint64_t
index_hash(uint64_t h, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		h = index_hash_byte(h, (unsigned char)s.p[i]);
	return h;
}

static inline uint64_t
index_mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ (h >> 29);
}

/* The bit of a key, by other digits of it than those that choose the slot. */
static inline uint32_t
index_bit(const struct index_group *g, uint64_t key)
{
	return (uint32_t)(key >> 24) & (g->mask * INDEX_BITS_PER_SLOT + INDEX_BITS_PER_SLOT - 1);
}

static inline bool
index_may_have(const struct index_group *g, uint64_t key)
{
	uint32_t bit = index_bit(g, key);

	return (g->bits[bit / 8] >> (bit % 8) & 1) != 0;
}

/* Slots for n entries: a power of two, at most half of them used. */
static inline uint32_t
index_table_size(size_t n)
{
	uint32_t size = 2;

	while (size < n * 2)
		size *= 2;
	return size;
}

/* Numbers the names of all identity lists. False when the arena is full. */
MUSTCHECK bool index_intern(struct index *ix, struct rule *const *rules, size_t n, struct arena *a);

/* Fills prefix, depth and tail from a resource, up to depth_max segments. */
void index_split(struct span resource, uint32_t depth_max, struct index_parts *out);
/* Adds one token to the hash of those before it. */
uint64_t index_hash_token(uint64_t h, struct span token);
/* The key of the parts at that shape. parts has what the shape asks for. */
uint64_t index_key(const struct index_shape *shape, const struct index_parts *parts);

#endif
