/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The index's thread. It reads the ledger through a connection of its own and writes its own file;
 * a fault of either is logged and tried again, and a file that is of no more use is made anew. It
 * must never touch the ledger's rows or make anyone wait.
 */
#include "ledger_index.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "audit/store.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "chore.h"
#include "index_layout.h"
#include "index_file.h"
#include "index_writer.h"

#define INDEX_MAGIC 0x1d3c0003u
#define LOOK_NS (500 * NS_PER_MS)
#define RETRY_FIRST_NS (500 * NS_PER_MS)
#define RETRY_MAX_NS (30 * NS_PER_SEC)
/* It rests so many times as long as it works: while no other thread of the process does, and while they keep all processors
 * busy. */
#define REST_IDLE 3
#define REST_BUSY 27

struct ledger_index {
	unsigned magic;
	struct chore chore;
	char *path;
	_Atomic uint64_t position;
	/* the thread's */
	struct store_reader *reader;
	struct index_writer *writer;
	struct cpu_watch watch;
	int64_t retry_ns;
	int64_t lag_told; /* as the metric has it */
	struct log_limiter limiter;
};

static void
tell_lag(struct ledger_index *x, int64_t lag)
{
	metric_add(METRIC_INDEX_LAG, lag - x->lag_told);
	x->lag_told = lag;
}

static enum err
open_all(struct ledger_index *x, struct errinfo *ei)
{
	bool is_new = false;
	enum err rc = x->reader == NULL
			      ? store_reader_open(x->path, STORE_READ_LIVE, &x->reader, ei)
			      : OK;

	if (rc == OK && x->writer == NULL) {
		rc = index_writer_open(x->path, x->reader, INDEX_SHIFT, &x->writer, &is_new, ei);
		if (rc == OK && is_new) {
			metric_add(METRIC_INDEX_REBUILDS, 1);
			log_info(NULL, "ledger: the search index is made anew");
		}
	}
	return rc;
}

/* Index entries of records that retention has taken away lead nowhere; they go segment by segment. */
static bool
keep_first(const struct store_row *row, void *arg)
{
	*(uint64_t *)arg = row->seq;
	return false;
}

static enum err
prune(struct ledger_index *x, struct errinfo *ei)
{
	uint64_t first = 0;
	bool is_done = true;
	enum err rc = store_reader_page(x->reader, 0, 1, keep_first, &first, NULL, ei);

	if (rc == OK && first > 1)
		rc = index_writer_prune(x->writer, first, &is_done, ei);
	return rc;
}

/* *n: how many records were indexed. */
static enum err
step(struct ledger_index *x, size_t *n, struct errinfo *ei)
{
	struct chain_head head = {0};
	enum err rc = open_all(x, ei);

	*n = 0;
	if (rc == OK)
		rc = store_reader_head(x->reader, &head, ei);
	if (rc != OK)
		return rc;
	uint64_t at = index_writer_position(x->writer).seq;
	if (at < head.seq)
		rc = index_writer_add(x->writer, x->reader, STORE_PAGE_MAX, n, ei);
	if (rc == OK && *n == 0)
		rc = prune(x, ei);
	if (rc != OK)
		return rc;
	at = index_writer_position(x->writer).seq;
	atomic_store_explicit(&x->position, at, memory_order_release);
	tell_lag(x, head.seq > at ? (int64_t)(head.seq - at) : 0);
	return OK;
}

/* False when it is to end. */
static bool
recover(struct ledger_index *x, enum err rc, const char *why)
{
	uint64_t held = 0;

	if (log_limit(&x->limiter, &held))
		log_warn(NULL, "ledger: the search index fails, searches read more: %s", why);
	bool was_open = x->writer != NULL;
	index_writer_free(&x->writer);
	store_reader_free(&x->reader);
	if (was_open && (rc == ERR_CORRUPT || rc == ERR_INVALID)) {
		struct errinfo ei;
		if (index_file_remove(x->path, &ei) != OK)
			log_warn(NULL, "ledger: the search index: %s", ei.msg);
		atomic_store_explicit(&x->position, 0, memory_order_release);
	}
	bool goes_on = chore_pause(&x->chore, x->retry_ns);
	x->retry_ns = x->retry_ns * 2 > RETRY_MAX_NS ? RETRY_MAX_NS : x->retry_ns * 2;
	return goes_on;
}

int64_t
ledger_index_rest_ns(int64_t worked_ns, const struct cpu_use *use)
{
	int64_t for_others =
		use->own_ns *
		(REST_IDLE * 100 + (int64_t)(REST_BUSY - REST_IDLE) * use->others_percent) / 100;

	/* What other programs take shows in how long the work took. */
	return for_others > worked_ns * REST_IDLE ? for_others : worked_ns * REST_IDLE;
}

static void *
run(void *arg)
{
	struct ledger_index *x = NULL;
	bool goes_on = true;

	OBJ_CAST(x, arg, INDEX_MAGIC);
	cpu_watch_start(&x->watch);
	while (goes_on && !chore_is_stopping(&x->chore)) {
		struct errinfo ei;
		size_t n = 0;
		int64_t begin_ns = clock_mono_ns();
		enum err rc = step(x, &n, &ei);
		if (rc != OK) {
			goes_on = recover(x, rc, ei.msg);
			continue;
		}
		x->retry_ns = RETRY_FIRST_NS;
		struct cpu_use use = cpu_watch_look(&x->watch);
		int64_t rest = n == STORE_PAGE_MAX
				       ? ledger_index_rest_ns(clock_mono_ns() - begin_ns, &use)
				       : LOOK_NS;
		goes_on = chore_pause(&x->chore, rest);
	}
	index_writer_free(&x->writer);
	store_reader_free(&x->reader);
	tell_lag(x, 0);
	return NULL;
}

enum err
ledger_index_new(const char *path, struct ledger_index **out, struct errinfo *ei)
{
	*out = NULL;
	struct ledger_index *x = mem_zalloc(1, sizeof(*x));
	if (x == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	x->magic = INDEX_MAGIC;
	x->retry_ns = RETRY_FIRST_NS;
	x->path = mem_dup_cstr(path);
	enum err rc = x->path != NULL ? chore_start(&x->chore, run, x, "the search index", ei)
				      : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc != OK)
		ledger_index_free(&x);
	*out = x;
	return rc;
}

void
ledger_index_free(struct ledger_index **x)
{
	if (*x == NULL)
		return;
	OBJ_CHECK(*x, INDEX_MAGIC);
	chore_stop(&(*x)->chore);
	mem_free((*x)->path);
	(*x)->magic = 0;
	mem_free(*x);
	*x = NULL;
}

uint64_t
ledger_index_position(const struct ledger_index *x)
{
	OBJ_CHECK(x, INDEX_MAGIC);
	return atomic_load_explicit(&x->position, memory_order_acquire);
}
