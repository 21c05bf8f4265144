/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts by address, shared by the loops of a process. The map's values are the counts themselves
 * and an address without connections is not in it, so it is never larger than the connections.
 * Must never count one whose count was not kept. Any thread.
 */
#include "net/address_cap.h"

#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"

#define CAP_MAGIC 0x61646370u
/* Above any number of open files. */
#define ADDRESSES_MAX (4 * 1024 * 1024)
struct address_cap {
	unsigned magic;
	size_t max;
	struct address_network *trusted;
	size_t n_trusted;
	pthread_mutex_t lock; /* guards counts */
	struct map *counts;   /* address -> its number of connections, as a pointer */
};

enum err
address_cap_new(size_t max, const struct address_network *trusted, size_t n_trusted,
	struct address_cap **out, struct errinfo *ei)
{
	struct address_cap *cap = mem_zalloc(1, sizeof(*cap));

	*out = NULL;
	MUST(max > 0);
	if (cap == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	cap->magic = CAP_MAGIC;
	cap->max = max;
	cap->n_trusted = n_trusted;
	MUST(pthread_mutex_init(&cap->lock, NULL) == 0);
	cap->counts = map_new(ADDRESSES_MAX);
	cap->trusted = mem_zalloc(n_trusted > 0 ? n_trusted : 1, sizeof(*cap->trusted));
	if (cap->counts == NULL || cap->trusted == NULL) {
		address_cap_free(&cap);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (n_trusted > 0)
		memcpy(cap->trusted, trusted, n_trusted * sizeof(*trusted));
	*out = cap;
	return OK;
}

void
address_cap_free(struct address_cap **cap)
{
	struct address_cap *dead = *cap;

	if (dead == NULL)
		return;
	OBJ_CHECK(dead, CAP_MAGIC);
	*cap = NULL;
	map_free(&dead->counts, NULL);
	mem_free(dead->trusted);
	pthread_mutex_destroy(&dead->lock);
	dead->magic = 0;
	mem_free(dead);
}

/* Fills *key with the address as it is counted. */
static void
make_key(const struct address_cap *cap, const struct address *a, struct address_key *key)
{
	*key = (struct address_key){.is_free = address_is_in(a, cap->trusted, cap->n_trusted)};
	struct address client = *a;

	address_cut_host(&client);
	memcpy(key->bytes, client.bytes, sizeof(key->bytes));
}

static struct span
key_span(const struct address_key *key)
{
	return span_of((const char *)key->bytes, sizeof(key->bytes));
}

bool
address_cap_take_address(struct address_cap *cap, const struct address *a, struct address_key *key)
{
	bool is_taken = false;

	OBJ_CHECK(cap, CAP_MAGIC);
	make_key(cap, a, key);
	if (key->is_free)
		return true;
	pthread_mutex_lock(&cap->lock);
	uintptr_t n = (uintptr_t)map_find(cap->counts, key_span(key));
	if (n < cap->max)
		is_taken = map_put(cap->counts, key_span(key), (void *)(n + 1), NULL);
	pthread_mutex_unlock(&cap->lock);
	return is_taken;
}

bool
address_cap_take(struct address_cap *cap, int fd, struct address_key *key)
{
	union {
		struct sockaddr sa;
		struct sockaddr_storage storage;
	} ss = {.storage = {0}};
	socklen_t n = sizeof(ss);
	struct address a;

	*key = (struct address_key){.is_free = true};
	if (getpeername(fd, &ss.sa, &n) != 0 || !address_of_sockaddr(&ss.sa, &a))
		return true;
	return address_cap_take_address(cap, &a, key);
}

void
address_cap_give(struct address_cap *cap, const struct address_key *key)
{
	OBJ_CHECK(cap, CAP_MAGIC);
	if (key->is_free)
		return;
	pthread_mutex_lock(&cap->lock);
	uintptr_t n = (uintptr_t)map_find(cap->counts, key_span(key));
	MUST(n > 0);
	/* One that is there takes no memory to change. */
	if (n > 1)
		MUST(map_put(cap->counts, key_span(key), (void *)(n - 1), NULL));
	else
		(void)map_take(cap->counts, key_span(key));
	pthread_mutex_unlock(&cap->lock);
}
