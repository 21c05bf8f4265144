/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See doctor_look.h. A thread that was left may come back at any time: it touches nothing but its own, finds that it is not its turn any
 * more, and ends. Only so many may be left in a process; then nothing is looked at until some have come back.
 */
#include "doctor_look.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/redact.h"
#include "pipeline/options.h"
#include "policy/policy.h"

#define LOOK_MAGIC 0x4c4f4f4bu
#define ARENA_BYTES (16 * 1024 * 1024)
#define DETAIL_BYTES_MAX 4096
#define LEFT_MAX 8
#define PREPARING SIZE_MAX

static _Atomic unsigned n_left;

/* What the threads of one look share with who waits for it. */
struct look {
	unsigned magic;
	pthread_mutex_t lock; /* guards what follows how */
	pthread_cond_t moved; /* by the monotonic clock */
	struct doctor_look how;
	struct doctor_input in;
	unsigned refs;
	unsigned turn; /* of the thread whose findings count */
	size_t at;     /* the row that is looked at, PREPARING, or n_rows: it has ended */
	bool has_stuck;
	size_t n_strong_open;
	struct doctor_report report;
	struct doctor_check *checks;
};

struct looker {
	struct look *look;
	unsigned turn;
	size_t from;
	bool can_prepare;
	struct doctor d;
};

static void
look_unref(struct look **own)
{
	struct look *look = *own;

	*own = NULL;
	OBJ_CHECK(look, LOOK_MAGIC);
	pthread_mutex_lock(&look->lock);
	bool is_last = --look->refs == 0;
	pthread_mutex_unlock(&look->lock);
	if (!is_last)
		return;
	doctor_report_fini(&look->report);
	pthread_cond_destroy(&look->moved);
	pthread_mutex_destroy(&look->lock);
	if (look->in.release != NULL)
		look->in.release(look->in.release_arg);
	look->magic = 0;
	mem_free(look);
}

static void
looker_free(struct looker **own)
{
	struct looker *l = *own;

	*own = NULL;
	policy_unref(&l->d.policy);
	buf_fini(&l->d.detail);
	arena_free(&l->d.arena);
	look_unref(&l->look);
	mem_free(l);
}

static bool
applies(const struct doctor_input *in, const struct doctor_row *row)
{
	bool is_loaded = in->config_error == NULL;

	switch (row->needs) {
	case NOTHING:
		return true;
	case CONFIG:
		return is_loaded;
	case STRONG:
		return is_loaded && in->pipeline->runtime.strong_guarantee;
	case DEEP:
		return is_loaded && in->is_deep && !in->is_running;
	case OFFLINE:
		return is_loaded && !in->is_running;
	}
	return false;
}

/* NUL-terminated, redacted, in the report's arena; NULL when memory is out. */
static const char *
keep(struct look *look, const struct buf *text)
{
	struct arena *a = look->report.arena;
	struct buf clean;

	buf_init(&clean, 2 * DETAIL_BYTES_MAX);
	(void)redact(redactor_default(), buf_span(text), &clean);
	const char *kept = buf_failed(&clean) ? arena_dup_cstr(a, SPAN_LIT("[REDACTED]"))
					      : arena_dup_cstr(a, buf_span(&clean));
	buf_fini(&clean);
	return kept;
}

static const char *
build_message(
	struct look *look, const struct doctor_row *row, enum finding finding, struct span detail)
{
	struct buf b;

	buf_init(&b, DETAIL_BYTES_MAX);
	if (finding == FINDING_ADVICE) {
		BUF_ADD_LIT(&b, "advice: ");
		buf_add_span(&b, detail);
	} else {
		buf_add_cstr(&b, row->title);
		if (finding == FINDING_FAIL)
			BUF_ADD_LIT(&b, " failed");
	}
	const char *text = keep(look, &b);
	buf_fini(&b);
	return text;
}

static const char *
build_hint(
	struct look *look, const struct doctor_row *row, enum finding finding, struct span detail)
{
	struct buf b;
	const char *text = NULL;

	buf_init(&b, DETAIL_BYTES_MAX);
	if (finding != FINDING_ADVICE)
		buf_add_span(&b, detail);
	if (finding != FINDING_PASS && row->remedy != NULL) {
		if (b.n > 0)
			BUF_ADD_LIT(&b, "; ");
		buf_add_cstr(&b, row->remedy);
	}
	if (b.n > 0)
		text = keep(look, &b);
	buf_fini(&b);
	return text;
}

/* Under the lock. */
static void
note(struct look *look, const struct doctor_row *row, enum finding finding, struct span detail)
{
	struct doctor_report *out = &look->report;

	if (finding == FINDING_ABSENT)
		return;
	look->checks[out->n_checks++] = (struct doctor_check){
		.id = row->id,
		.is_ok = finding != FINDING_FAIL,
		.is_advice = finding == FINDING_ADVICE,
		.message = build_message(look, row, finding, detail),
		.hint = build_hint(look, row, finding, detail),
	};
	if (finding != FINDING_FAIL)
		return;
	out->is_ready = false;
	look->n_strong_open += row->needs == STRONG ? 1 : 0;
}

/* Under the lock. Says whether the row is to be looked at; one that is left out leaves the strong guarantee open. */
static bool
is_looked_at(struct look *look, const struct doctor_row *row)
{
	if (!applies(&look->in, row))
		return false;
	if (look->how.is_wanted(&look->in, row->id))
		return true;
	look->n_strong_open += row->needs == STRONG ? 1 : 0;
	return false;
}

/* False when it is not the thread's turn any more. */
static bool
look_at_row(struct looker *l, size_t i)
{
	struct look *look = l->look;
	const struct doctor_row *row = &look->how.rows[i];

	pthread_mutex_lock(&look->lock);
	bool is_mine = look->turn == l->turn;
	bool is_due = is_mine && is_looked_at(look, row);
	if (is_mine)
		look->at = i;
	l->d.n_strong_open = look->n_strong_open;
	pthread_cond_signal(&look->moved);
	pthread_mutex_unlock(&look->lock);
	if (!is_due)
		return is_mine;
	buf_reset(&l->d.detail);
	enum finding finding = row->check(&l->d);
	pthread_mutex_lock(&look->lock);
	is_mine = look->turn == l->turn;
	if (is_mine)
		note(look, row, finding, buf_span(&l->d.detail));
	pthread_mutex_unlock(&look->lock);
	return is_mine;
}

static void
add_policy(struct looker *l)
{
	struct look *look = l->look;
	struct doctor_report *out = &look->report;
	const struct policy *policy = l->d.policy;

	pthread_mutex_lock(&look->lock);
	if (policy != NULL && look->turn == l->turn) {
		out->policy_hash = arena_dup_cstr(out->arena, span_cstr(policy_get_hash(policy)));
		out->sources_json = arena_dup(out->arena, policy_get_sources_json(policy));
		out->inputs_json = arena_dup(out->arena, policy_get_inputs_json(policy));
	}
	pthread_mutex_unlock(&look->lock);
}

static void *
run_rows(void *arg)
{
	struct looker *l = arg;
	struct look *look = l->look;
	size_t i = l->from;

	if (look->in.config_error == NULL && l->can_prepare)
		look->how.prepare(&l->d);
	else
		(void)ERR(&l->d.policy_error, ERR_TIMEOUT, "it could not be read in time");
	add_policy(l);
	while (i < look->how.n_rows && look_at_row(l, i))
		i++;
	pthread_mutex_lock(&look->lock);
	bool is_mine = look->turn == l->turn;
	if (is_mine)
		look->at = look->how.n_rows;
	pthread_cond_signal(&look->moved);
	pthread_mutex_unlock(&look->lock);
	if (!is_mine)
		atomic_fetch_sub(&n_left, 1);
	looker_free(&l);
	return NULL;
}

/* A thread for the rows from there on, whose turn it is. */
static enum err
start(struct look *look, size_t from, bool can_prepare, pthread_t *thread, struct errinfo *ei)
{
	struct looker *l = mem_zalloc(1, sizeof(*l));
	sigset_t all;
	sigset_t before;

	if (l == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	pthread_mutex_lock(&look->lock);
	look->refs++;
	look->at = PREPARING;
	l->turn = ++look->turn;
	pthread_mutex_unlock(&look->lock);
	l->look = look;
	l->from = from;
	l->can_prepare = can_prepare;
	l->d.in = &look->in;
	buf_init(&l->d.detail, DETAIL_BYTES_MAX);
	l->d.arena = arena_new(ARENA_BYTES);
	sigfillset(&all);
	MUST(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	bool is_started = l->d.arena != NULL && pthread_create(thread, NULL, run_rows, l) == 0;
	MUST(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	if (is_started)
		return OK;
	looker_free(&l);
	return ERR(ei, ERR_NOMEM, "out of memory");
}

/* Under the lock; 0: for as long as it takes. */
static int64_t
patience(const struct look *look)
{
	if (look->at < look->how.n_rows && look->how.rows[look->at].needs == DEEP)
		return 0;
	return look->has_stuck ? look->how.next_ns : look->how.first_ns;
}

/* Under the lock. False when the row at which it was does not end. */
static bool
wait_for_move(struct look *look)
{
	int64_t ns = patience(look);
	int64_t until_ns = clock_mono_ns() + ns;
	const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_SEC),
		.tv_nsec = (long)(until_ns % NS_PER_SEC)};
	size_t at = look->at;

	while (look->at == at && (ns == 0 || clock_mono_ns() < until_ns)) {
		if (ns == 0)
			(void)pthread_cond_wait(&look->moved, &look->lock);
		else
			(void)pthread_cond_timedwait(&look->moved, &look->lock, &until);
	}
	return look->at != at;
}

/* Under the lock. */
static void
note_stuck(struct look *look, const struct doctor_row *row)
{
	char text[160];
	int n = snprintf(text, sizeof(text),
		"it did not end within %" PRId64
		" ms, so it could not be measured: is it on a mount whose server is gone?",
		patience(look) / NS_PER_MS);

	note(look, row, FINDING_FAIL, span_of(text, (size_t)n));
}

/* Under the lock: what is not even begun. */
static void
note_rest(struct look *look, size_t from)
{
	for (size_t i = from; i < look->how.n_rows; i++) {
		const struct doctor_row *row = &look->how.rows[i];
		if (is_looked_at(look, row))
			note(look, row, FINDING_FAIL,
				SPAN_LIT("it was not looked at, for too many looks have not "
					 "ended yet"));
	}
}

/* Until the thread ends, or is stuck. *next: the row behind that. */
static bool
wait_for_end(struct look *look, size_t *next, bool *can_prepare)
{
	pthread_mutex_lock(&look->lock);
	while (look->at != look->how.n_rows && wait_for_move(look))
		;
	bool has_ended = look->at == look->how.n_rows;
	if (!has_ended) {
		look->turn++;
		atomic_fetch_add(&n_left, 1);
		*can_prepare = *can_prepare && look->at != PREPARING;
		if (look->at != PREPARING) {
			note_stuck(look, &look->how.rows[look->at]);
			*next = look->at + 1;
		}
		look->has_stuck = true;
	}
	pthread_mutex_unlock(&look->lock);
	return has_ended;
}

/* All rows, or what can be said of them. */
static enum err
run(struct look *look, struct errinfo *ei)
{
	bool can_prepare = true;
	bool has_ended = false;
	size_t next = 0;
	enum err rc = OK;

	while (rc == OK && !has_ended && atomic_load(&n_left) < LEFT_MAX) {
		pthread_t thread;
		rc = start(look, next, can_prepare, &thread, ei);
		if (rc != OK)
			break;
		has_ended = wait_for_end(look, &next, &can_prepare);
		MUST((has_ended ? pthread_join(thread, NULL) : pthread_detach(thread)) == 0);
	}
	if (rc == OK && !has_ended) {
		pthread_mutex_lock(&look->lock);
		note_rest(look, next);
		pthread_mutex_unlock(&look->lock);
	}
	return rc;
}

static int
compare_ids(const void *a, const void *b)
{
	const struct doctor_check *x = a;
	const struct doctor_check *y = b;

	return strcmp(x->id, y->id);
}

/* From here on nobody else touches it. */
static void
take_report(struct look *look, struct doctor_report *out)
{
	pthread_mutex_lock(&look->lock);
	look->turn++;
	*out = look->report;
	look->report = (struct doctor_report){.arena = NULL};
	qsort(look->checks, out->n_checks, sizeof(*look->checks), compare_ids);
	out->checks = look->checks;
	if (look->n_strong_open > 0 && strcmp(out->assurance, "STRONG") == 0)
		out->assurance = "GUARDED";
	pthread_mutex_unlock(&look->lock);
}

static struct look *
look_new(const struct doctor_look *how, const struct doctor_input *in)
{
	struct look *look = mem_zalloc(1, sizeof(*look));
	pthread_condattr_t monotonic;

	if (look == NULL)
		return NULL;
	look->magic = LOOK_MAGIC;
	look->refs = 1;
	look->how = *how;
	look->in = *in;
	MUST(pthread_mutex_init(&look->lock, NULL) == 0);
	MUST(pthread_condattr_init(&monotonic) == 0);
	MUST(pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0);
	MUST(pthread_cond_init(&look->moved, &monotonic) == 0);
	pthread_condattr_destroy(&monotonic);
	look->report = (struct doctor_report){.assurance = "NONE",
		.policy_hash = "",
		.is_ready = true,
		.arena = arena_new(ARENA_BYTES)};
	if (in->config_error == NULL)
		look->report.assurance = assurance_level(in->pipeline);
	if (look->report.arena != NULL)
		look->checks = ARENA_ARRAY(look->report.arena, struct doctor_check, how->n_rows);
	return look;
}

enum err
doctor_look_run(const struct doctor_look *how, const struct doctor_input *in,
	struct doctor_report *out, struct errinfo *ei)
{
	struct look *look = look_new(how, in);
	enum err rc = ERR_NOMEM;

	*out = (struct doctor_report){.assurance = "NONE", .policy_hash = ""};
	if (look == NULL) {
		if (in->release != NULL)
			in->release(in->release_arg);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (look->checks != NULL)
		rc = run(look, ei);
	if (rc == OK)
		take_report(look, out);
	else
		(void)ERR(ei, ERR_NOMEM, "out of memory");
	look_unref(&look);
	return rc == OK && arena_failed(out->arena) ? ERR(ei, ERR_NOMEM, "out of memory") : rc;
}
