/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workers have answered: by the plane's label and class of status, and how long it took. Each worker writes its own.
 */
#include "runtime.h"

#include "base/clock.h"
#include "base/must.h"

void
worker_count_answer(struct worker *w, unsigned label, unsigned status, int64_t took_ns)
{
	struct answer_counts *a;

	MUST(label < RUNTIME_LABELS_MAX && status >= 100 && status < 600);
	a = &w->answers[label];
	uint64_t n = atomic_load_explicit(&a->n[status / 100], memory_order_relaxed);
	atomic_store_explicit(&a->n[status / 100], n + 1, memory_order_relaxed);
	histogram_add(&a->times, histogram_times, took_ns);
}

void
runtime_view_answers(const struct runtime *r, unsigned label, struct answer_view *out)
{
	MUST(label < RUNTIME_LABELS_MAX);
	*out = (struct answer_view){{0}, {{0}, 0}};
	for (size_t i = 0; i < r->n_workers; i++) {
		const struct answer_counts *a = &r->workers[i].answers[label];
		for (size_t c = 0; c < STATUS_CLASSES; c++)
			out->n[c] += atomic_load_explicit(&a->n[c], memory_order_relaxed);
		histogram_collect(&a->times, &out->times);
	}
}
