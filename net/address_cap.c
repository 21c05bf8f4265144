/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts by address, shared by the loops of a process. The map's values are the counts themselves
 * and an address without connections is not in it, so it is never larger than the connections.
 * Must never count one whose count was not kept. Any thread.
 */
#include "net/address_cap.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/parse.h"

#define CAP_MAGIC 0x61646370u
/* Above any number of open files. */
#define ADDRESSES_MAX (4 * 1024 * 1024)
#define MAPPED_BYTES 12 /* ::ffff: */

static const uint8_t mapped[MAPPED_BYTES] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

struct address_cap {
	unsigned magic;
	size_t max;
	struct address_network *trusted;
	size_t n_trusted;
	pthread_mutex_t lock; /* guards counts */
	struct map *counts;   /* address -> its number of connections, as a pointer */
};

static bool
parse_address(struct span text, uint8_t bytes[16], unsigned *bits_before)
{
	char host[ADDRESS_NETWORK_TEXT_MAX];

	if (text.n == 0 || text.n >= sizeof(host) || memchr(text.p, '\0', text.n) != NULL)
		return false;
	memcpy(host, text.p, text.n);
	host[text.n] = '\0';
	memcpy(bytes, mapped, MAPPED_BYTES);
	*bits_before = MAPPED_BYTES * 8;
	if (inet_pton(AF_INET, host, bytes + MAPPED_BYTES) == 1)
		return true;
	*bits_before = 0;
	return inet_pton(AF_INET6, host, bytes) == 1;
}

enum err
address_network_parse(struct span text, struct address_network *out, struct errinfo *ei)
{
	size_t slash = span_find(text, '/');
	unsigned bits_before = 0;
	uint64_t n_bits = 0;

	*out = (struct address_network){0};
	bool is_good = parse_address(span_of(text.p, slash), out->bytes, &bits_before);
	n_bits = 128 - bits_before;
	if (is_good && slash < text.n)
		is_good = parse_uint(span_from(text, slash + 1), 128 - bits_before, &n_bits);
	if (!is_good)
		return ERR(ei, ERR_PARSE,
			"\"%.*s\" is not an address or network: use 10.0.0.1, 10.0.0.0/8, ::1 or "
			"2001:db8::/32",
			SPAN_ARG(text));
	out->n_bits = bits_before + (unsigned)n_bits;
	return OK;
}

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

static bool
is_in(const uint8_t *bytes, const struct address_network *network)
{
	size_t n = network->n_bits / 8;
	unsigned rest = network->n_bits % 8;

	if (memcmp(bytes, network->bytes, n) != 0)
		return false;
	return rest == 0 || (bytes[n] >> (8 - rest)) == (network->bytes[n] >> (8 - rest));
}

/* Fills *key with the peer of the socket. */
static void
find_key(const struct address_cap *cap, int fd, struct address_key *key)
{
	struct sockaddr_storage ss = {0};
	socklen_t n = sizeof(ss);

	*key = (struct address_key){.is_free = true};
	if (getpeername(fd, (struct sockaddr *)&ss, &n) != 0)
		return;
	if (ss.ss_family == AF_INET) {
		memcpy(key->bytes, mapped, MAPPED_BYTES);
		memcpy(key->bytes + MAPPED_BYTES, &((struct sockaddr_in *)&ss)->sin_addr, 4);
	} else if (ss.ss_family == AF_INET6) {
		memcpy(key->bytes, &((struct sockaddr_in6 *)&ss)->sin6_addr, 16);
	} else {
		return;
	}
	key->is_free = false;
	for (size_t i = 0; i < cap->n_trusted; i++)
		key->is_free = key->is_free || is_in(key->bytes, &cap->trusted[i]);
	if (memcmp(key->bytes, mapped, MAPPED_BYTES) != 0)
		memset(key->bytes + 8, 0, 8);
}

static struct span
key_span(const struct address_key *key)
{
	return span_of((const char *)key->bytes, sizeof(key->bytes));
}

bool
address_cap_take(struct address_cap *cap, int fd, struct address_key *key)
{
	bool is_taken = false;

	OBJ_CHECK(cap, CAP_MAGIC);
	find_key(cap, fd, key);
	if (key->is_free)
		return true;
	pthread_mutex_lock(&cap->lock);
	uintptr_t n = (uintptr_t)map_find(cap->counts, key_span(key));
	if (n < cap->max)
		is_taken = map_put(cap->counts, key_span(key), (void *)(n + 1), NULL);
	pthread_mutex_unlock(&cap->lock);
	return is_taken;
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
