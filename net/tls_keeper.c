/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The context for new connections, and the files it was made of. Files are looked at by their names, so it does not
 * matter whether one was renamed into its place, written again, or a link above it was turned to another folder. A state
 * of the files is tried once it has been the same before and after reading; what is refused is not tried again until
 * something changes. Must never put a pair in place that was not read whole.
 */
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "tls_priv.h"

#define KEEPER_MAGIC 0x746c736bu
/* The files of all pairs, that of the client CAs and that of their lists. */
#define FILES_MAX (3 * TLS_PAIRS_MAX + 2)
/* Files that change while they are read are read again at once so often, then with the next look. */
#define READS_MAX 3

/* What tells one state of a file from another. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified;
	struct timespec changed;
	bool is_there;
};

struct stamps {
	struct stamp of[FILES_MAX];
};

struct tls_keeper {
	unsigned magic;
	struct tls_options options;
	struct tls_pair pairs[TLS_PAIRS_MAX];
	char *paths[FILES_MAX]; /* own; pairs and options point there */
	size_t n_paths;
	struct tls_tickets *tickets; /* NULL: none */
	struct stamps seen;          /* the state that was tried last; of tls_keeper_look */
	struct stamps now;
	pthread_mutex_t lock; /* guards context */
	struct tls_context *context;
	_Atomic unsigned version;
};

static void
stamp_file(const char *path, struct stamp *out)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (stat(path, &st) != 0)
		return;
	out->is_there = true;
	out->dev = st.st_dev;
	out->ino = st.st_ino;
	out->size = st.st_size;
	out->modified = st.st_mtim;
	out->changed = st.st_ctim;
}

static void
stamp_all(const struct tls_keeper *k, struct stamps *out)
{
	for (size_t i = 0; i < k->n_paths; i++)
		stamp_file(k->paths[i], &out->of[i]);
}

static bool
are_equal(const struct tls_keeper *k, const struct stamps *a, const struct stamps *b)
{
	return memcmp(a->of, b->of, k->n_paths * sizeof(a->of[0])) == 0;
}

/* Own copy of a path; false when memory is out. NULL stays. */
static bool
keep_path(struct tls_keeper *k, const char **path)
{
	if (*path == NULL)
		return true;
	char *own = mem_dup_cstr(*path);
	if (own == NULL)
		return false;
	k->paths[k->n_paths++] = own;
	*path = own;
	return true;
}

static bool
keep_options(struct tls_keeper *k, const struct tls_options *o)
{
	bool is_kept = true;

	k->options = *o;
	k->options.pairs = k->pairs;
	for (size_t i = 0; i < o->n_pairs && is_kept; i++) {
		k->pairs[i] = o->pairs[i];
		is_kept = keep_path(k, &k->pairs[i].cert_file) &&
			  keep_path(k, &k->pairs[i].key_file) &&
			  keep_path(k, &k->pairs[i].ocsp_file);
	}
	return is_kept && keep_path(k, &k->options.client_ca_file) &&
	       keep_path(k, &k->options.client_crl_file);
}

/* What becomes of the gauges when one context follows another; either may be missing. An answer without an end has none to tell. */
static void
tell_ends(const struct tls_context *from, const struct tls_context *to)
{
	const struct tls_context *both[] = {from, to};

	for (int i = 0; i < 2; i++) {
		int64_t sign = i == 0 ? -1 : 1;
		if (both[i] == NULL)
			continue;
		metric_add(METRIC_TLS_END, sign * both[i]->end_s);
		if (both[i]->ocsp_end_s != INT64_MAX)
			metric_add(METRIC_TLS_OCSP_END, sign * both[i]->ocsp_end_s);
		if (both[i]->crl_end_s != INT64_MAX)
			metric_add(METRIC_TLS_CRL_END, sign * both[i]->crl_end_s);
	}
}

static void
tell_stale_answers(const struct tls_keeper *k, const struct tls_context *c)
{
	for (size_t i = 0; i < c->n_certificates; i++) {
		if (c->certificates[i].ocsp == NULL && c->certificates[i].ocsp_end_s != 0)
			log_warn(NULL,
				"the OCSP response in %s is out of its time and is not stapled",
				k->pairs[i].ocsp_file);
	}
}

static void
put_in_place(struct tls_keeper *k, struct tls_context *own)
{
	pthread_mutex_lock(&k->lock);
	struct tls_context *old = k->context;
	k->context = own;
	pthread_mutex_unlock(&k->lock);
	tell_ends(old, own);
	atomic_fetch_add_explicit(&k->version, 1, memory_order_release);
	tls_context_unref(&old);
}

/* Reads the state that is in k->now. */
static enum err
read_state(struct tls_keeper *k, struct tls_context **out, struct errinfo *ei)
{
	enum err rc = OK;

	for (int i = 0; i < READS_MAX; i++) {
		k->seen = k->now;
		rc = tls_context_load(&k->options, k->tickets, out, ei);
		stamp_all(k, &k->now);
		if (are_equal(k, &k->seen, &k->now)) {
			/* What failed may have failed for another reason than the files: it is tried again. */
			if (rc != OK)
				memset(&k->seen, 0, sizeof(k->seen));
			return rc;
		}
		tls_context_unref(out);
		rc = ERR(ei, ERR_IO, "the files of TLS certificates change while they are read");
	}
	/* The next look reads them again. */
	memset(&k->seen, 0, sizeof(k->seen));
	return rc;
}

enum err
tls_keeper_look(struct tls_keeper *k, bool is_forced, bool *has_changed, struct errinfo *ei)
{
	struct tls_context *context = NULL;

	OBJ_CHECK(k, KEEPER_MAGIC);
	*has_changed = false;
	stamp_all(k, &k->now);
	if (!is_forced && are_equal(k, &k->seen, &k->now))
		return OK;
	enum err rc = read_state(k, &context, ei);
	if (rc != OK)
		return rc;
	tell_stale_answers(k, context);
	put_in_place(k, context);
	*has_changed = true;
	return OK;
}

static enum err
check(const struct tls_options *o, struct errinfo *ei)
{
	if (o->n_pairs == 0 || o->n_pairs > TLS_PAIRS_MAX)
		return ERR(ei, ERR_INVALID, "certificates are not 1 to %d", TLS_PAIRS_MAX);
	if (o->client_auth != TLS_CLIENT_NONE && o->client_ca_file == NULL)
		return ERR(ei, ERR_INVALID, "client certificates need a file of CAs");
	if (o->client_auth == TLS_CLIENT_NONE && o->client_crl_file != NULL)
		return ERR(ei, ERR_INVALID,
			"a list of revoked certificates is for client certificates");
	return OK;
}

enum err
tls_context_try(const struct tls_options *o, struct tls_context **out, struct errinfo *ei)
{
	*out = NULL;
	enum err rc = check(o, ei);
	return rc == OK ? tls_context_load(o, NULL, out, ei) : rc;
}

static enum err
start(struct tls_keeper *k, const struct tls_options *o, struct errinfo *ei)
{
	bool has_changed = false;

	enum err rc = keep_options(k, o) ? OK : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK && o->ticket_lifetime_s > 0)
		rc = tls_tickets_new(o->ticket_lifetime_s, &k->tickets, ei);
	if (rc == OK)
		rc = tls_keeper_look(k, true, &has_changed, ei);
	return rc;
}

enum err
tls_keeper_new(const struct tls_options *o, struct tls_keeper **out, struct errinfo *ei)
{
	*out = NULL;
	enum err rc = check(o, ei);
	if (rc != OK)
		return rc;
	struct tls_keeper *k = mem_zalloc(1, sizeof(*k));
	if (k == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	k->magic = KEEPER_MAGIC;
	MUST(pthread_mutex_init(&k->lock, NULL) == 0);
	rc = start(k, o, ei);
	if (rc != OK)
		tls_keeper_free(&k);
	*out = k;
	return rc;
}

void
tls_keeper_free(struct tls_keeper **k)
{
	struct tls_keeper *dead = *k;

	if (dead == NULL)
		return;
	OBJ_CHECK(dead, KEEPER_MAGIC);
	*k = NULL;
	tell_ends(dead->context, NULL);
	tls_context_unref(&dead->context);
	tls_tickets_free(&dead->tickets);
	for (size_t i = 0; i < dead->n_paths; i++)
		mem_free(dead->paths[i]);
	pthread_mutex_destroy(&dead->lock);
	dead->magic = 0;
	mem_free(dead);
}

struct tls_context *
tls_keeper_take(struct tls_keeper *k)
{
	OBJ_CHECK(k, KEEPER_MAGIC);
	pthread_mutex_lock(&k->lock);
	struct tls_context *c = tls_context_ref(k->context);
	pthread_mutex_unlock(&k->lock);
	return c;
}

unsigned
tls_keeper_get_version(const struct tls_keeper *k)
{
	OBJ_CHECK(k, KEEPER_MAGIC);
	return atomic_load_explicit(&k->version, memory_order_acquire);
}
