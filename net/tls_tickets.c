/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of session tickets (RFC 5077 4, RFC 8446 4.6.1). A key makes tickets for one lifetime and opens them for one
 * more, then it is wiped: whoever takes it later cannot read what was recorded before. They are in memory only and
 * shared by all workers and all contexts, so that a session goes on whatever was reloaded. Any thread.
 */
#include <pthread.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/rand.h"
#include "tls_priv.h"

#define TICKETS_MAGIC 0x7469636bu
#define NAME_BYTES 16
#define KEY_BYTES 32

struct ticket_key {
	unsigned char name[NAME_BYTES];
	unsigned char cipher[KEY_BYTES];
	unsigned char mac[KEY_BYTES];
	int64_t born_ns; /* monotonic; 0: no key */
};

struct tls_tickets {
	unsigned magic;
	int64_t lifetime_ns;
	pthread_mutex_t lock;
	struct ticket_key keys[2]; /* the one that makes tickets, the one before it */
};

static bool
make_key(struct ticket_key *k, int64_t now)
{
	unsigned char bytes[NAME_BYTES + 2 * KEY_BYTES];

	if (rand_bytes(bytes, sizeof(bytes), NULL) != OK)
		return false;
	memcpy(k->name, bytes, NAME_BYTES);
	memcpy(k->cipher, bytes + NAME_BYTES, KEY_BYTES);
	memcpy(k->mac, bytes + NAME_BYTES + KEY_BYTES, KEY_BYTES);
	k->born_ns = now;
	mem_wipe(bytes, sizeof(bytes));
	return true;
}

/* Drops what is too old; with_new: makes a key when there is none for tickets. Under the lock. */
static bool
rotate(struct tls_tickets *t, int64_t now, bool with_new)
{
	bool is_current = t->keys[0].born_ns != 0 && now - t->keys[0].born_ns < t->lifetime_ns;

	if (t->keys[1].born_ns != 0 && now - t->keys[1].born_ns >= 2 * t->lifetime_ns)
		mem_wipe(&t->keys[1], sizeof(t->keys[1]));
	if (is_current)
		return true;
	if (t->keys[0].born_ns != 0) {
		if (now - t->keys[0].born_ns < 2 * t->lifetime_ns)
			t->keys[1] = t->keys[0];
		mem_wipe(&t->keys[0], sizeof(t->keys[0]));
	}
	return !with_new || make_key(&t->keys[0], now);
}

/* The key to make a ticket with (name is written), or the one that made this one. False: there is none. */
static bool
find_key(struct tls_tickets *t, bool is_new, unsigned char *name, struct ticket_key *out,
	bool *is_current)
{
	bool is_found = false;

	pthread_mutex_lock(&t->lock);
	bool is_ready = rotate(t, clock_mono_ns(), is_new);
	for (size_t i = 0; i < ARRAY_LEN(t->keys) && !is_found; i++) {
		if (!is_ready || t->keys[i].born_ns == 0)
			continue;
		if (!is_new && memcmp(t->keys[i].name, name, NAME_BYTES) != 0)
			continue;
		*out = t->keys[i];
		*is_current = i == 0;
		is_found = true;
	}
	pthread_mutex_unlock(&t->lock);
	if (is_found && is_new)
		memcpy(name, out->name, NAME_BYTES);
	return is_found;
}

static bool
set_keys(const struct ticket_key *k, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
	bool is_new)
{
	unsigned char key[KEY_BYTES];
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key, KEY_BYTES),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};

	memcpy(key, k->mac, KEY_BYTES);
	bool is_set =
		EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, is_new) == 1 &&
		EVP_MAC_CTX_set_params(mac, params) == 1;
	mem_wipe(key, sizeof(key));
	return is_set;
}

/* As SSL_CTX_set_tlsext_ticket_key_evp_cb says: 0: not one of ours, a whole handshake; 2: good, and to be made anew. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int is_new)
{
	struct tls_tickets *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct ticket_key key;
	bool is_current = false;

	OBJ_CHECK(t, TICKETS_MAGIC);
	if (!find_key(t, is_new != 0, name, &key, &is_current))
		return 0;
	if (is_new != 0 && rand_bytes(iv, EVP_MAX_IV_LENGTH, NULL) != OK)
		return -1;
	bool is_set = set_keys(&key, iv, cipher, mac, is_new != 0);
	mem_wipe(&key, sizeof(key));
	if (!is_set)
		return -1;
	return is_current ? 1 : 2;
}

bool
tls_tickets_install(struct tls_tickets *t, SSL_CTX *ssl)
{
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	if (t == NULL) {
		SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
		return SSL_CTX_set_num_tickets(ssl, 0) == 1;
	}
	SSL_CTX_set_timeout(ssl, (long)(t->lifetime_ns / NS_PER_SEC));
	return SSL_CTX_set_num_tickets(ssl, 1) == 1 && SSL_CTX_set_app_data(ssl, t) == 1 &&
	       SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket) == 1;
}

enum err
tls_tickets_new(int64_t lifetime_s, struct tls_tickets **out, struct errinfo *ei)
{
	struct tls_tickets *t = mem_zalloc(1, sizeof(*t));

	*out = NULL;
	MUST(lifetime_s > 0);
	if (t == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	t->magic = TICKETS_MAGIC;
	t->lifetime_ns = lifetime_s * NS_PER_SEC;
	MUST(pthread_mutex_init(&t->lock, NULL) == 0);
	*out = t;
	return OK;
}

void
tls_tickets_free(struct tls_tickets **t)
{
	struct tls_tickets *dead = *t;

	if (dead == NULL)
		return;
	OBJ_CHECK(dead, TICKETS_MAGIC);
	*t = NULL;
	pthread_mutex_destroy(&dead->lock);
	mem_wipe(dead, sizeof(*dead));
	mem_free(dead);
}
