/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See series.h. A place is claimed by putting its key's hash there, which is seeded; its texts are filled in by who claimed it
 * and read by nobody before that. Nothing is ever removed.
 */
#include "series.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/redact.h"

#define PROBES_MAX 16
#define VALUE_MAX 128
#define KEY_MAX 1024
/* Owners are told apart by so much of a hash; those who meet share their rows. */
#define OWNERS_MAX 256

struct series {
	_Atomic uint64_t hash; /* 0: free */
	_Atomic bool is_named;
	_Atomic uint64_t n;
	const char *name;
	size_t n_labels;
	const char *labels[METRIC_LABELS_MAX];
	uint16_t lengths[METRIC_LABELS_MAX];
	char values[METRIC_LABELS_MAX][VALUE_MAX];
};

struct series_table {
	struct series rows[SERIES_MAX];
	_Atomic uint32_t n_owned[OWNERS_MAX];
	struct {
		_Atomic(const char *) name;
		_Atomic uint64_t n;
	} rest[8]; /* by name */
};

struct series_table *
series_new(void)
{
	return mem_zalloc(1, sizeof(struct series_table));
}

void
series_free(struct series_table **t)
{
	mem_free(*t);
	*t = NULL;
}

static bool
append(char *key, size_t *n, struct span part)
{
	if (part.n + 1 > KEY_MAX - *n)
		return false;
	if (part.n > 0)
		memcpy(key + *n, part.p, part.n);
	*n += part.n;
	key[(*n)++] = '\0';
	return true;
}

/* Never 0. */
static uint64_t
hash_of(const char *name, const struct metric_label *labels, size_t n)
{
	char key[KEY_MAX];
	size_t n_key = 0;
	bool fits = append(key, &n_key, span_cstr(name));

	for (size_t i = 0; i < n && fits; i++)
		fits = append(key, &n_key, labels[i].value);
	uint64_t hash = map_hash(span_of(key, n_key));
	return hash != 0 ? hash : 1;
}

static void
name_row(struct series *s, const char *name, const struct metric_label *labels, size_t n)
{
	s->name = name;
	s->n_labels = n;
	for (size_t i = 0; i < n; i++) {
		s->labels[i] = labels[i].name;
		s->lengths[i] = (uint16_t)labels[i].value.n;
		if (labels[i].value.n > 0)
			memcpy(s->values[i], labels[i].value.p, labels[i].value.n);
	}
	atomic_store_explicit(&s->is_named, true, memory_order_release);
}

static _Atomic uint32_t *
count_of(struct series_table *t, struct span owner)
{
	return &t->n_owned[map_hash(owner) % OWNERS_MAX];
}

static bool
take_share(struct series_table *t, struct span owner)
{
	if (owner.n == 0)
		return true;
	if (atomic_fetch_add_explicit(count_of(t, owner), 1, memory_order_relaxed) <
		SERIES_OWNER_MAX)
		return true;
	atomic_fetch_sub_explicit(count_of(t, owner), 1, memory_order_relaxed);
	return false;
}

static void
give_share_back(struct series_table *t, struct span owner)
{
	if (owner.n > 0)
		atomic_fetch_sub_explicit(count_of(t, owner), 1, memory_order_relaxed);
}

/* False: another thread was first, and *there is what it has put. */
static bool
claim_row(struct series *s, uint64_t hash, uint64_t *there)
{
	return atomic_compare_exchange_strong_explicit(
		&s->hash, there, hash, memory_order_relaxed, memory_order_relaxed);
}

/* NULL when there is no room near its place, or none for the owner. */
static struct series *
find_row(struct series_table *t, struct span owner, const char *name,
	const struct metric_label *labels, size_t n)
{
	uint64_t hash = hash_of(name, labels, n);

	for (size_t i = 0; i < PROBES_MAX; i++) {
		struct series *s = &t->rows[(hash + i) % SERIES_MAX];
		uint64_t there = atomic_load_explicit(&s->hash, memory_order_relaxed);

		if (there == 0) {
			if (!take_share(t, owner))
				return NULL;
			if (claim_row(s, hash, &there)) {
				name_row(s, name, labels, n);
				return s;
			}
			give_share_back(t, owner);
		}
		if (there == hash)
			return s;
	}
	return NULL;
}

static void
add_to_rest(struct series_table *t, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(t->rest); i++) {
		const char *there = atomic_load(&t->rest[i].name);

		if (there == NULL && atomic_compare_exchange_strong(&t->rest[i].name, &there, name))
			there = name;
		if (strcmp(there, name) == 0) {
			atomic_fetch_add_explicit(&t->rest[i].n, 1, memory_order_relaxed);
			return;
		}
	}
	UNREACHABLE("more families than there is room for");
}

void
series_add(struct series_table *t, struct span owner, const struct redactor *redactor,
	const char *name, const struct metric_label *labels, size_t n)
{
	struct metric_label clean[METRIC_LABELS_MAX];

	MUST(n <= METRIC_LABELS_MAX);
	for (size_t i = 0; i < n; i++) {
		clean[i] = labels[i];
		if (clean[i].value.n > VALUE_MAX)
			clean[i].value = SPAN_LIT("(too long)");
		else if (redactor != NULL && !redact_is_clean(redactor, clean[i].value))
			clean[i].value = SPAN_LIT("[REDACTED]");
	}
	struct series *s = find_row(t, owner, name, clean, n);
	if (s != NULL)
		atomic_fetch_add_explicit(&s->n, 1, memory_order_relaxed);
	else
		add_to_rest(t, name);
}

static void
write_row(const struct series *s, struct metric_writer *w)
{
	struct metric_label labels[METRIC_LABELS_MAX];

	for (size_t i = 0; i < s->n_labels; i++)
		labels[i] =
			(struct metric_label){s->labels[i], span_of(s->values[i], s->lengths[i])};
	w->ops->integer(
		w, labels, s->n_labels, (int64_t)atomic_load_explicit(&s->n, memory_order_relaxed));
}

void
series_write(struct series_table *t, const char *name, const char *help, struct metric_writer *w)
{
	/* As the OpenTelemetry specification calls it. */
	static const struct metric_label overflow = {"otel.metric.overflow", {"true", 4}};
	bool has_family = false;

	for (size_t i = 0; i < SERIES_MAX; i++) {
		const struct series *s = &t->rows[i];

		if (!atomic_load_explicit(&s->is_named, memory_order_acquire) ||
			strcmp(s->name, name) != 0)
			continue;
		if (!has_family)
			w->ops->family(w, name, METRIC_KIND_COUNTER, help);
		has_family = true;
		write_row(s, w);
	}
	for (size_t i = 0; i < ARRAY_LEN(t->rest); i++) {
		const char *there = atomic_load(&t->rest[i].name);
		uint64_t n = atomic_load_explicit(&t->rest[i].n, memory_order_relaxed);

		if (there == NULL || strcmp(there, name) != 0 || n == 0)
			continue;
		if (!has_family)
			w->ops->family(w, name, METRIC_KIND_COUNTER, help);
		w->ops->integer(w, &overflow, 1, (int64_t)n);
	}
}
