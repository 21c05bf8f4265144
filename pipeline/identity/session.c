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
#include "identity/token_holder.h"
#include "limit/failure_limit.h"
#include "snapshot_parts.h"

#define SESSION_MAGIC 0x5e551076u
#define TOKEN_RAW_BYTES (SESSION_TOKEN_BYTES / 2)
/* Addresses share a bucket by chance; the hash is seeded, so nobody can choose to. */
#define FAILURES_PER_MINUTE 10
#define CSRF_DOMAIN "nomos.csrf.v1"
#define HOLDER_DOMAIN "nomos.session.holder.v1"

struct row {
	bool is_used;
	uint8_t token_hash[SHA256_BYTES];
	struct key_mark key;         /* of a token: of whom it named */
	struct token_holder *holder; /* counted; NULL: it began with an API key */
	unsigned roles;              /* bits of enum role that the principal had */
	int64_t expires_mono_ns;
	int64_t expires_wall_ns;
	int64_t used_mono_ns;
};

struct session_table {
	unsigned magic;
	pthread_mutex_t lock; /* guards the rows */
	struct row rows[SESSIONS_MAX];
	struct failure_limit *failures;
};

struct session_table *
session_table_new(void)
{
	struct session_table *t = mem_zalloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->magic = SESSION_MAGIC;
	pthread_mutex_init(&t->lock, NULL);
	t->failures = failure_limit_new();
	if (t->failures == NULL)
		session_table_free(&t);
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
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		token_holder_unref(&old->rows[i].holder);
	failure_limit_free(&old->failures);
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

/* One limit for all tokens of a person. */
static void
mark_holder(const struct token_holder *holder, struct key_mark *out)
{
	*out = (struct key_mark){{0}, ""};
	hash_hmac_sha256(holder->principal, SPAN_LIT(HOLDER_DOMAIN), out->hash);
}

/* By an API key or a signed token. On success the row keeps the holder, too. */
static enum err
find_person(const struct snapshot *s, struct span credential, struct span client_address,
	struct row *row, struct caller *out)
{
	identity_mark_key(credential, &row->key);
	if (identity_find_mark(s->identities, &row->key, client_address, out) == OK)
		return OK;
	if (identity_find_token(s->identities, credential, out) != OK)
		return ERR_AUTH;
	mark_holder(out->holder, &row->key);
	row->holder = token_holder_ref(out->holder);
	return OK;
}

/* A token that ends first ends the session. False: it has ended. */
static bool
set_end(struct row *row)
{
	int64_t wall_ns = clock_wall_ns();
	int64_t life_ns = SESSION_LIFE_NS;

	if (row->holder != NULL && row->holder->expires_wall_ns - wall_ns < life_ns)
		life_ns = row->holder->expires_wall_ns - wall_ns;
	row->used_mono_ns = clock_mono_ns();
	row->expires_mono_ns = row->used_mono_ns + life_ns;
	row->expires_wall_ns = wall_ns + life_ns;
	return life_ns > 0;
}

static enum err
make_token(struct row *row, char token[SESSION_TOKEN_BYTES + 1])
{
	uint8_t raw[TOKEN_RAW_BYTES];

	if (rand_bytes(raw, sizeof(raw), NULL) != OK)
		return ERR_CRYPTO;
	hash_hex(raw, sizeof(raw), token);
	mem_wipe(raw, sizeof(raw));
	hash_sha256(span_of(token, SESSION_TOKEN_BYTES), row->token_hash);
	return OK;
}

/* Takes the row's holder. */
static void
put_row(struct session_table *t, const struct row *row)
{
	struct token_holder *old;
	struct row *place;

	pthread_mutex_lock(&t->lock);
	place = choose_row(t, &row->key, row->used_mono_ns, clock_wall_ns());
	old = place->holder;
	*place = *row;
	pthread_mutex_unlock(&t->lock);
	token_holder_unref(&old);
}

enum err
session_open(struct session_table *t, const struct snapshot *s, struct span credential,
	struct span client_address, char token[SESSION_TOKEN_BYTES + 1], struct session *out)
{
	struct row row = {.is_used = true};
	struct caller caller;
	enum err rc;

	OBJ_CHECK(t, SESSION_MAGIC);
	token[0] = '\0';
	*out = (struct session){.expires_wall_ns = 0};
	rc = find_person(s, credential, client_address, &row, &caller);
	if (rc != OK)
		return rc;
	row.roles = named_roles(&caller);
	if (!set_end(&row))
		rc = ERR_AUTH;
	else if (row.roles == 0)
		rc = ERR_FORBIDDEN;
	else
		rc = make_token(&row, token);
	if (rc != OK) {
		token_holder_unref(&row.holder);
		caller_drop(&caller);
		return rc;
	}
	fill_session(out, &caller, span_of(token, SESSION_TOKEN_BYTES), &row);
	put_row(t, &row);
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
	enum err rc = row->holder != NULL ? identity_find_holder(s->identities, row->holder, caller)
					  : identity_find_mark(s->identities, &row->key,
						    client_address, caller);

	if (rc == OK && (row->roles & ~caller->roles) == 0)
		return true;
	caller_drop(caller);
	return false;
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
	struct token_holder *holder = NULL;
	uint8_t hash[SHA256_BYTES];

	OBJ_CHECK(t, SESSION_MAGIC);
	hash_sha256(token, hash);
	pthread_mutex_lock(&t->lock);
	struct row *row = find_row(t, hash);
	if (row != NULL) {
		holder = row->holder;
		mem_wipe(row, sizeof(*row));
	}
	pthread_mutex_unlock(&t->lock);
	token_holder_unref(&holder);
}

bool
session_note_failure(struct session_table *t, struct span client_address, uint32_t *wait_s)
{
	OBJ_CHECK(t, SESSION_MAGIC);
	*wait_s = failure_limit_note(t->failures, FAILURES_PER_MINUTE, client_address);
	return *wait_s == 0;
}
