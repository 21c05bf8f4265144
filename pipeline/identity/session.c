/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of sessions: a fixed number of rows, looked through from end to end. It holds hashes of tokens and of keys, so that
 * who reads the memory of the process can neither take over a session nor learn a key. Any thread.
 */
#include "pipeline/session.h"

#include <pthread.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/rand.h"
#include "base/secret.h"
#include "identity/identity_table.h"
#include "limit/token_bucket.h"
#include "snapshot_parts.h"

#define SESSION_MAGIC 0x5e551076u
#define TOKEN_RAW_BYTES (SESSION_TOKEN_BYTES / 2)
/* Addresses share a bucket by chance; the hash is seeded, so nobody can choose to. */
#define FAILURE_BUCKETS 256
#define FAILURE_BURST 10
#define FAILURES_PER_MINUTE 10
#define CSRF_DOMAIN "nomos.csrf.v1"

struct row {
	bool is_used;
	uint8_t token_hash[SHA256_BYTES];
	struct key_mark key;
	unsigned roles; /* bits of enum role that the principal had */
	int64_t expires_mono_ns;
	int64_t expires_wall_ns;
	int64_t used_mono_ns;
};

struct session_table {
	unsigned magic;
	pthread_mutex_t lock; /* guards everything below */
	struct row rows[SESSIONS_MAX];
	struct token_bucket failures[FAILURE_BUCKETS];
};

struct session_table *
session_table_new(void)
{
	struct session_table *t = mem_zalloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->magic = SESSION_MAGIC;
	pthread_mutex_init(&t->lock, NULL);
	for (size_t i = 0; i < FAILURE_BUCKETS; i++)
		token_bucket_init(&t->failures[i], FAILURE_BURST, FAILURES_PER_MINUTE, 0);
	return t;
}

void
session_table_free(struct session_table **t)
{
	struct session_table *old = *t;

	if (old == NULL)
		return;
	OBJ_CHECK(old, SESSION_MAGIC);
	*t = NULL;
	pthread_mutex_destroy(&old->lock);
	mem_wipe(old, sizeof(*old));
	mem_free(old);
}

/* Those that say something: anybody is ANYONE. */
static unsigned
named_roles(const struct caller *caller)
{
	return caller->roles & ~(1u << ROLE_ANYONE);
}

static bool
is_over(const struct row *row, int64_t mono_ns, int64_t wall_ns)
{
	/* Both clocks: one stands still while the machine sleeps, the other may be set back. */
	return mono_ns >= row->expires_mono_ns || wall_ns >= row->expires_wall_ns ||
	       mono_ns - row->used_mono_ns >= SESSION_IDLE_NS;
}

static bool
is_same_key(const struct key_mark *a, const struct key_mark *b)
{
	return memcmp(a->hash, b->hash, SHA256_BYTES) == 0;
}

/* A free row, or the one that gives way. */
static struct row *
choose_row(struct session_table *t, const struct key_mark *key, int64_t mono_ns, int64_t wall_ns)
{
	struct row *oldest = &t->rows[0];
	struct row *oldest_of_key = NULL;
	struct row *free_row = NULL;
	size_t n_of_key = 0;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct row *row = &t->rows[i];
		if (row->is_used && is_over(row, mono_ns, wall_ns))
			row->is_used = false;
		if (!row->is_used) {
			free_row = row;
			continue;
		}
		if (row->used_mono_ns < oldest->used_mono_ns)
			oldest = row;
		if (!is_same_key(&row->key, key))
			continue;
		n_of_key++;
		if (oldest_of_key == NULL || row->used_mono_ns < oldest_of_key->used_mono_ns)
			oldest_of_key = row;
	}
	if (n_of_key >= SESSIONS_PER_KEY_MAX)
		return oldest_of_key;
	return free_row != NULL ? free_row : oldest;
}

static void
fill_session(
	struct session *out, const struct caller *caller, struct span token, const struct row *row)
{
	uint8_t mac[SHA256_BYTES];

	out->caller = *caller;
	out->expires_wall_ns = row->expires_wall_ns;
	hash_hmac_sha256(token, SPAN_LIT(CSRF_DOMAIN), mac);
	hash_hex(mac, sizeof(mac), out->csrf);
}

enum err
session_open(struct session_table *t, const struct snapshot *s, struct span api_key,
	struct span client_address, char token[SESSION_TOKEN_BYTES + 1], struct session *out)
{
	struct row row = {.is_used = true};
	struct caller caller;
	uint8_t raw[TOKEN_RAW_BYTES];

	OBJ_CHECK(t, SESSION_MAGIC);
	token[0] = '\0';
	*out = (struct session){.expires_wall_ns = 0};
	identity_mark_key(api_key, &row.key);
	if (identity_find_mark(s->identities, &row.key, client_address, &caller) != OK)
		return ERR_AUTH;
	row.roles = named_roles(&caller);
	if (row.roles == 0)
		return ERR_FORBIDDEN;
	if (rand_bytes(raw, sizeof(raw), NULL) != OK)
		return ERR_CRYPTO;
	hash_hex(raw, sizeof(raw), token);
	mem_wipe(raw, sizeof(raw));
	struct span text = span_of(token, SESSION_TOKEN_BYTES);
	hash_sha256(text, row.token_hash);
	row.used_mono_ns = clock_mono_ns();
	row.expires_mono_ns = row.used_mono_ns + SESSION_LIFE_NS;
	row.expires_wall_ns = clock_wall_ns() + SESSION_LIFE_NS;
	fill_session(out, &caller, text, &row);
	pthread_mutex_lock(&t->lock);
	*choose_row(t, &row.key, row.used_mono_ns, row.expires_wall_ns - SESSION_LIFE_NS) = row;
	pthread_mutex_unlock(&t->lock);
	return OK;
}

/* Under the lock. Every row is compared, whole: the time says nothing of where or how far one is alike. */
static struct row *
find_row(struct session_table *t, const uint8_t hash[SHA256_BYTES])
{
	struct row *found = NULL;

	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		bool is_equal =
			secret_eq(span_of((const char *)t->rows[i].token_hash, SHA256_BYTES),
				span_of((const char *)hash, SHA256_BYTES));
		if (is_equal && t->rows[i].is_used)
			found = &t->rows[i];
	}
	return found;
}

/* Whether key and roles are what they were; more roles than then are fine. */
static bool
is_configured(const struct row *row, const struct snapshot *s, struct span client_address,
	struct caller *caller)
{
	return identity_find_mark(s->identities, &row->key, client_address, caller) == OK &&
	       (row->roles & ~caller->roles) == 0;
}

static enum err
look_up(struct session_table *t, const struct snapshot *s, struct span token,
	struct span client_address, bool is_use, struct session *out)
{
	uint8_t hash[SHA256_BYTES];
	struct caller caller = {.principal = SPAN_NONE};
	int64_t mono_ns = clock_mono_ns();
	enum err rc = ERR_AUTH;
	struct row copy;

	OBJ_CHECK(t, SESSION_MAGIC);
	*out = (struct session){.expires_wall_ns = 0};
	if (token.n != SESSION_TOKEN_BYTES)
		return ERR_AUTH;
	hash_sha256(token, hash);
	pthread_mutex_lock(&t->lock);
	struct row *row = find_row(t, hash);
	if (row != NULL && !is_over(row, mono_ns, clock_wall_ns()) &&
		is_configured(row, s, client_address, &caller)) {
		if (is_use)
			row->used_mono_ns = mono_ns;
		copy = *row;
		rc = OK;
	} else if (row != NULL) {
		row->is_used = false;
	}
	pthread_mutex_unlock(&t->lock);
	if (rc == OK)
		fill_session(out, &caller, token, &copy);
	return rc;
}

enum err
session_find(struct session_table *t, const struct snapshot *s, struct span token,
	struct span client_address, struct session *out)
{
	return look_up(t, s, token, client_address, true, out);
}

enum err
session_peek(struct session_table *t, const struct snapshot *s, struct span token,
	struct span client_address, struct session *out)
{
	return look_up(t, s, token, client_address, false, out);
}

void
session_close(struct session_table *t, struct span token)
{
	uint8_t hash[SHA256_BYTES];

	OBJ_CHECK(t, SESSION_MAGIC);
	hash_sha256(token, hash);
	pthread_mutex_lock(&t->lock);
	struct row *row = find_row(t, hash);
	if (row != NULL)
		mem_wipe(row, sizeof(*row));
	pthread_mutex_unlock(&t->lock);
}

bool
session_note_failure(struct session_table *t, struct span peer, uint32_t *wait_s)
{
	struct token_bucket *b = &t->failures[map_hash(peer) % FAILURE_BUCKETS];

	OBJ_CHECK(t, SESSION_MAGIC);
	*wait_s = 0;
	pthread_mutex_lock(&t->lock);
	token_bucket_refill(b, clock_mono_ns());
	bool has_token = token_bucket_has_token(b);
	if (has_token)
		token_bucket_take(b);
	else
		*wait_s = (uint32_t)(token_bucket_wait_ns(b) / NS_PER_SEC) + 1;
	pthread_mutex_unlock(&t->lock);
	return has_token;
}
