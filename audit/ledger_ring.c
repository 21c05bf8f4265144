/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A circle of bytes with a circle of slots over it. Positions count up for ever and are taken
 * modulo the size, so "does it overlap" is a subtraction. It must never make the writer wait for
 * a sink: pushing only ever drops the oldest.
 */
#include "ledger_ring.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "base/must.h"

#define BYTES_PER_SLOT 256
/* Room that a record at the end of the circle may waste, and one that does not fit the estimate. */
#define SLACK_BYTES ((size_t)BUF_CAP_RECORD * 2)

struct slot {
	uint64_t start; /* position of the body */
	size_t n;
	char hash[SHA256_HEX + 1];
};

struct ledger_ring {
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t grown;
	char *bytes;
	size_t n_bytes;
	struct slot *slots; /* record seq is in slot seq % n_slots */
	size_t n_slots;
	uint64_t first; /* oldest record held; last + 1 when none */
	uint64_t last;  /* newest record committed */
	uint64_t end;   /* position behind the newest body */
	bool is_stopped;
};

/* ---- batches ---- */

void
ledger_batch_init(struct ledger_batch *b)
{
	b->n = 0;
	buf_init(&b->bytes, LEDGER_BATCH_BYTES + BUF_CAP_RECORD * 2);
}

void
ledger_batch_fini(struct ledger_batch *b)
{
	buf_fini(&b->bytes);
}

void
ledger_batch_reset(struct ledger_batch *b)
{
	b->n = 0;
	buf_reset(&b->bytes);
}

bool
ledger_batch_add(struct ledger_batch *b, uint64_t seq, const char *hash, struct span body)
{
	size_t at = b->bytes.n;

	buf_add_span(&b->bytes, body);
	if (buf_failed(&b->bytes))
		return false;
	b->offsets[b->n] = at;
	b->records[b->n].seq = seq;
	b->records[b->n].body = span_of(NULL, body.n);
	memcpy(b->hashes[b->n], hash, SHA256_HEX);
	b->hashes[b->n][SHA256_HEX] = '\0';
	b->n++;
	return true;
}

void
ledger_batch_finish(struct ledger_batch *b)
{
	for (size_t i = 0; i < b->n; i++) {
		b->records[i].body.p = b->bytes.p + b->offsets[i];
		b->records[i].event_hash = span_of(b->hashes[i], SHA256_HEX);
	}
}

/* ---- the ring ---- */

struct ledger_ring *
ledger_ring_new(size_t n_bytes, uint64_t head)
{
	struct ledger_ring *r = mem_zalloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->n_bytes = n_bytes;
	r->n_slots = n_bytes / BYTES_PER_SLOT;
	r->bytes = mem_alloc(n_bytes);
	r->slots = mem_alloc(r->n_slots * sizeof(*r->slots));
	r->first = head + 1;
	r->last = head;
	MUST(pthread_mutex_init(&r->mutex, NULL) == 0);
	cond_init(&r->grown);
	if (r->bytes == NULL || r->slots == NULL)
		ledger_ring_free(&r);
	return r;
}

void
ledger_ring_free(struct ledger_ring **r)
{
	if (*r == NULL)
		return;
	pthread_mutex_destroy(&(*r)->mutex);
	pthread_cond_destroy(&(*r)->grown);
	mem_free((*r)->bytes);
	mem_free((*r)->slots);
	mem_free(*r);
	*r = NULL;
}

static struct slot *
slot_of(struct ledger_ring *r, uint64_t seq)
{
	return &r->slots[seq % r->n_slots];
}

/* A body lies in one piece: one that would cross the end of the circle starts at its beginning. */
static uint64_t
place_body(const struct ledger_ring *r, size_t n)
{
	uint64_t left = r->n_bytes - r->end % r->n_bytes;

	return n <= left ? r->end : r->end + left;
}

void
ledger_ring_push(struct ledger_ring *r, uint64_t seq, const char *hash, struct span body)
{
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	if (seq != r->last + 1)
		r->first = seq;
	uint64_t start = place_body(r, body.n);
	MUST(body.n <= r->n_bytes);
	while (r->first < seq && (seq - r->first >= r->n_slots ||
					 start + body.n - slot_of(r, r->first)->start > r->n_bytes))
		r->first++;
	struct slot *s = slot_of(r, seq);
	s->start = start;
	s->n = body.n;
	memcpy(s->hash, hash, SHA256_HEX);
	s->hash[SHA256_HEX] = '\0';
	memcpy(r->bytes + start % r->n_bytes, body.p, body.n);
	r->end = start + body.n;
	r->last = seq;
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
}

void
ledger_ring_wake(struct ledger_ring *r)
{
	MUST(pthread_cond_broadcast(&r->grown) == 0);
}

void
ledger_ring_reset(struct ledger_ring *r, uint64_t head)
{
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	r->last = head;
	r->first = head + 1;
	MUST(pthread_cond_broadcast(&r->grown) == 0);
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
}

bool
ledger_ring_has_room(struct ledger_ring *r, size_t n_records, size_t n_bytes, uint64_t kept_after)
{
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	uint64_t first = kept_after + 1 > r->first ? kept_after + 1 : r->first;
	size_t used = first <= r->last ? (size_t)(r->end - slot_of(r, first)->start) : 0;
	size_t n_used = first <= r->last ? (size_t)(r->last - first + 1) : 0;
	bool has_room =
		used + n_bytes + SLACK_BYTES <= r->n_bytes && n_used + n_records <= r->n_slots;
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
	return has_room;
}

uint64_t
ledger_ring_first(struct ledger_ring *r)
{
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	uint64_t first = r->first;
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
	return first;
}

enum ring_result
ledger_ring_read(struct ledger_ring *r, uint64_t after, size_t max, struct ledger_batch *out)
{
	enum ring_result result = RING_NOTHING;

	ledger_batch_reset(out);
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	if (after < r->last && after + 1 < r->first)
		result = RING_GONE;
	for (uint64_t seq = after + 1; result != RING_GONE && seq <= r->last && out->n < max;
		seq++) {
		const struct slot *s = slot_of(r, seq);
		if (!ledger_batch_add(
			    out, seq, s->hash, span_of(r->bytes + s->start % r->n_bytes, s->n))) {
			result = out->n == 0 ? RING_NOMEM : RING_TAKEN;
			break;
		}
		result = RING_TAKEN;
		if (out->bytes.n > LEDGER_BATCH_BYTES)
			break;
	}
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
	ledger_batch_finish(out);
	return result;
}

bool
ledger_ring_wait(struct ledger_ring *r, uint64_t after)
{
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	while (!r->is_stopped && r->last <= after)
		MUST(pthread_cond_wait(&r->grown, &r->mutex) == 0);
	bool goes_on = !r->is_stopped;
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
	return goes_on;
}

bool
ledger_ring_pause(struct ledger_ring *r, int64_t ns)
{
	int64_t until_ns = clock_mono_ns() + ns;
	bool is_in_time = true;

	MUST(pthread_mutex_lock(&r->mutex) == 0);
	while (!r->is_stopped && is_in_time)
		is_in_time = cond_wait_until(&r->grown, &r->mutex, until_ns);
	bool goes_on = !r->is_stopped;
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
	return goes_on;
}

void
ledger_ring_stop(struct ledger_ring *r)
{
	MUST(pthread_mutex_lock(&r->mutex) == 0);
	r->is_stopped = true;
	MUST(pthread_cond_broadcast(&r->grown) == 0);
	MUST(pthread_mutex_unlock(&r->mutex) == 0);
}
