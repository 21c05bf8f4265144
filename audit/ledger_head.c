/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The head file's thread. A head file that lags only makes a cut harder to notice, it never makes
 * a good ledger look bad: it must therefore never be written before the checkpoint it names is
 * committed. A failure is logged and tried again with the next checkpoint.
 */
#include "ledger_head.h"

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"

/* Between two writes, each of which syncs a file and its folder: under load there is a checkpoint every few
 * milliseconds, and only the newest counts. */
#define PAUSE_NS (100 * NS_PER_MS)

struct ledger_head {
	pthread_t thread;
	char *path;            /* const */
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t wake;
	struct checkpoint next; /* seq 0: nothing to write */
	bool is_stopping;
};

/* Until something may have changed: a checkpoint is there and its time has come, or it is to end. */
static void
wait_for_checkpoint(struct ledger_head *h, int64_t not_before_mono_ns)
{
	(void)cond_wait_until(
		&h->wake, &h->mutex, h->next.at.seq == 0 ? INT64_MAX : not_before_mono_ns);
}

static void *
write_heads(void *arg)
{
	struct ledger_head *h = arg;
	struct errinfo ei;
	int64_t not_before_mono_ns = 0;

	MUST(pthread_mutex_lock(&h->mutex) == 0);
	while (!h->is_stopping || h->next.at.seq != 0) {
		if (h->next.at.seq == 0 ||
			(!h->is_stopping && clock_mono_ns() < not_before_mono_ns)) {
			wait_for_checkpoint(h, not_before_mono_ns);
			continue;
		}
		struct checkpoint cp = h->next;
		h->next.at.seq = 0;
		MUST(pthread_mutex_unlock(&h->mutex) == 0);
		if (checkpoint_write_head(h->path, &cp, &ei) != OK)
			log_warn(NULL, "ledger: the head file could not be written: %s", ei.msg);
		not_before_mono_ns = clock_mono_ns() + PAUSE_NS;
		MUST(pthread_mutex_lock(&h->mutex) == 0);
	}
	MUST(pthread_mutex_unlock(&h->mutex) == 0);
	return NULL;
}

enum err
ledger_head_new(const char *path, struct ledger_head **out, struct errinfo *ei)
{
	*out = NULL;
	struct ledger_head *h = mem_zalloc(1, sizeof(*h));
	if (h == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	h->path = mem_dup_cstr(path);
	if (h->path == NULL) {
		mem_free(h);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	MUST(pthread_mutex_init(&h->mutex, NULL) == 0);
	cond_init(&h->wake);
	int rc = pthread_create(&h->thread, NULL, write_heads, h);
	if (rc != 0) {
		pthread_mutex_destroy(&h->mutex);
		pthread_cond_destroy(&h->wake);
		mem_free(h->path);
		mem_free(h);
		return ERR(ei, ERR_IO, "ledger: no thread: %s", strerror(rc));
	}
	*out = h;
	return OK;
}

void
ledger_head_put(struct ledger_head *h, const struct checkpoint *cp)
{
	MUST(pthread_mutex_lock(&h->mutex) == 0);
	h->next = *cp;
	MUST(pthread_cond_signal(&h->wake) == 0);
	MUST(pthread_mutex_unlock(&h->mutex) == 0);
}

void
ledger_head_free(struct ledger_head **h)
{
	if (*h == NULL)
		return;
	MUST(pthread_mutex_lock(&(*h)->mutex) == 0);
	(*h)->is_stopping = true;
	MUST(pthread_cond_signal(&(*h)->wake) == 0);
	MUST(pthread_mutex_unlock(&(*h)->mutex) == 0);
	MUST(pthread_join((*h)->thread, NULL) == 0);
	pthread_mutex_destroy(&(*h)->mutex);
	pthread_cond_destroy(&(*h)->wake);
	mem_free((*h)->path);
	mem_free(*h);
	*h = NULL;
}
