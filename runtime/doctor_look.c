/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * See doctor_look.h. A thread that was left may come back at any time: it touches nothing but its own, finds that it is not its turn any
 * more, and ends. Until then no look of this process begins what holds it, so that the same mount does not take a thread for every look.
 * Only so many may be left; then nothing is looked at until some have come back.
 */
#include "doctor_look.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/cond.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/redact.h"
#include "pipeline/options.h"
#include "policy/policy.h"

#define LOOK_MAGIC 0x4c4f4f4bu
#define ARENA_BYTES (16 * 1024 * 1024)
#define DETAIL_BYTES_MAX 4096
#define LEFT_MAX 8

/* What stands before the rows. */
static const struct doctor_row measuring = {.id = "measure"};
static const struct doctor_row loading = {.id = "load"};

/* What holds the threads that were left. */
static struct {
	pthread_mutex_t lock; /* behind that of a look */
	const struct doctor_row *rows[LEFT_MAX];
} left = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* What the threads of one look share with who waits for it. */
struct look {
	unsigned magic;
	pthread_mutex_t lock; /* guards what follows how */
	pthread_cond_t moved; /* by the monotonic clock */
	struct doctor_look how;
	struct doctor_input in;
	unsigned refs;
	unsigned turn;               /* of the thread whose findings count */
	const struct doctor_row *at; /* what is looked at; NULL: it has ended */
	bool has_stuck;
	size_t n_strong_open;
	struct doctor_report report;
	struct doctor_check *checks;
};

struct looker {
	struct look *look;
	unsigned turn;
	size_t from;
	const struct doctor_row *at; /* as look->at while it is its turn; then what it is left at */
	struct doctor d;
};

/* Puts one in the place of the other, NULL for a free place. False when there is no such place. */
static bool
swap_left(const struct doctor_row *old, const struct doctor_row *new)
{
	size_t i = 0;

	pthread_mutex_lock(&left.lock);
	while (i < LEFT_MAX && left.rows[i] != old)
		i++;
	if (i < LEFT_MAX)
		left.rows[i] = new;
	pthread_mutex_unlock(&left.lock);
	return i < LEFT_MAX;
}

static bool
is_left(const struct doctor_row *row)
{
	return swap_left(row, row);
}

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

/* Under the lock. To the next row that is to be looked at; one that still holds a thread is not begun again. */
static void
move_to(struct look *look, size_t i)
{
	for (look->at = NULL; i < look->how.n_rows && look->at == NULL; i++) {
		const struct doctor_row *row = &look->how.rows[i];
		if (!is_looked_at(look, row))
			continue;
		if (is_left(row))
			note(look, row, FINDING_FAIL,
				SPAN_LIT("an earlier look at it has not ended, so it could not be "
					 "measured: is it on a mount whose server is gone?"));
		else
			look->at = row;
	}
	pthread_cond_signal(&look->moved);
}

/* Under the lock. */
static bool
has_turn(const struct looker *l)
{
	return l->look->turn == l->turn;
}

/* What the rows need. False when it did not end in time, now or in an earlier look. */
static bool
take_step(struct looker *l, const struct doctor_row *step, void (*run_step)(struct doctor *d))
{
	struct look *look = l->look;

	if (is_left(step))
		return false;
	pthread_mutex_lock(&look->lock);
	bool is_mine = has_turn(l);
	if (is_mine)
		l->at = look->at = step;
	pthread_cond_signal(&look->moved);
	pthread_mutex_unlock(&look->lock);
	if (is_mine)
		run_step(&l->d);
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

/* Until the last has ended, or the turn is over. */
static void
look_at_rows(struct looker *l)
{
	struct look *look = l->look;

	pthread_mutex_lock(&look->lock);
	if (has_turn(l))
		move_to(look, l->from);
	while (has_turn(l) && look->at != NULL) {
		const struct doctor_row *row = l->at = look->at;
		l->d.n_strong_open = look->n_strong_open;
		pthread_mutex_unlock(&look->lock);
		buf_reset(&l->d.detail);
		enum finding finding = row->check(&l->d);
		pthread_mutex_lock(&look->lock);
		if (!has_turn(l))
			break;
		note(look, row, finding, buf_span(&l->d.detail));
		move_to(look, (size_t)(row - look->how.rows) + 1);
	}
	bool was_left = !has_turn(l);
	pthread_mutex_unlock(&look->lock);
	if (was_left)
		(void)swap_left(l->at, NULL);
}

static void *
run_rows(void *arg)
{
	struct looker *l = arg;
	const struct doctor_look *how = &l->look->how;

	if (l->look->in.config_error == NULL) {
		(void)take_step(l, &measuring, how->measure);
		if (!take_step(l, &loading, how->load))
			(void)ERR(&l->d.policy_error, ERR_TIMEOUT, "it could not be read in time");
		add_policy(l);
	}
	look_at_rows(l);
	looker_free(&l);
	return NULL;
}

/* A thread for the rows from there on, whose turn it is. */
static enum err
start(struct look *look, size_t from, pthread_t *thread, struct errinfo *ei)
{
	struct looker *l = mem_zalloc(1, sizeof(*l));
	sigset_t all;
	sigset_t before;

	if (l == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	pthread_mutex_lock(&look->lock);
	look->refs++;
	look->at = &measuring;
	l->turn = ++look->turn;
	pthread_mutex_unlock(&look->lock);
	l->look = look;
	l->from = from;
	l->at = &measuring;
	l->d.in = &look->in;
	l->d.host = MEASURED_NOTHING;
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

/* Under the lock; INT64_MAX: for as long as it takes. */
static int64_t
patience(const struct look *look)
{
	if (look->at->needs == DEEP)
		return INT64_MAX;
	return look->has_stuck ? look->how.next_ns : look->how.first_ns;
}

/* Under the lock. False when the row at which it was does not end. */
static bool
wait_for_move(struct look *look)
{
	int64_t ns = patience(look);
	int64_t until_ns = ns < INT64_MAX ? clock_mono_ns() + ns : ns;
	const struct doctor_row *at = look->at;

	/* clock.h says when it is over; the condition only sleeps, by the kernel's clock. */
	while (look->at == at && clock_mono_ns() < until_ns)
		(void)cond_wait_until(&look->moved, &look->lock, until_ns);
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
					 "ended yet, or no thread can be made"));
	}
}

/* Until the thread ends, or is stuck. *next: the row behind that. */
static bool
wait_for_end(struct look *look, size_t *next)
{
	pthread_mutex_lock(&look->lock);
	while (look->at != NULL && wait_for_move(look))
		;
	bool has_ended = look->at == NULL;
	if (!has_ended) {
		look->turn++;
		(void)swap_left(NULL, look->at);
		if (look->at != &measuring && look->at != &loading) {
			note_stuck(look, look->at);
			*next = (size_t)(look->at - look->how.rows) + 1;
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
	bool has_ended = false;
	size_t next = 0;
	enum err rc = OK;

	while (rc == OK && !has_ended && swap_left(NULL, NULL)) {
		pthread_t thread;
		rc = start(look, next, &thread, ei);
		if (rc != OK)
			break;
		has_ended = wait_for_end(look, &next);
		MUST((has_ended ? pthread_join(thread, NULL) : pthread_detach(thread)) == 0);
	}
	if (!has_ended && (rc == OK || look->has_stuck)) {
		pthread_mutex_lock(&look->lock);
		note_rest(look, next);
		pthread_mutex_unlock(&look->lock);
		rc = OK;
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

	if (look == NULL)
		return NULL;
	look->magic = LOOK_MAGIC;
	look->refs = 1;
	look->how = *how;
	look->in = *in;
	MUST(pthread_mutex_init(&look->lock, NULL) == 0);
	cond_init(&look->moved);
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

bool
doctor_has_left(void)
{
	bool has_left = false;

	pthread_mutex_lock(&left.lock);
	for (size_t i = 0; i < LEFT_MAX; i++)
		has_left = has_left || left.rows[i] != NULL;
	pthread_mutex_unlock(&left.lock);
	return has_left;
}
