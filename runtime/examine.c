/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor's report of the running gateway, kept for a few seconds, so that a page that asks again and again costs one look at the
 * disk. One look at a time; it may take long, on a mount whose server is gone, so nobody waits for it: who comes meanwhile is
 * answered from the last report, however old. Blocking: reader threads only.
 */
#include "runtime.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "runtime/doctor.h"

#define EXAMINE_EVERY_NS (5 * NS_PER_SEC)
#define EXAMINED_MAGIC 0x4558414du

struct examined {
	unsigned magic;
	pthread_mutex_t looking; /* held for a whole look; before lock */
	pthread_mutex_t lock;    /* guards what follows, also while somebody reads the report */
	bool has_report;
	int64_t at_mono_ns;
	struct doctor_report report;
};

enum err
examined_new(struct examined **out, struct errinfo *ei)
{
	struct examined *x = mem_zalloc(1, sizeof(*x));

	*out = x;
	if (x == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	x->magic = EXAMINED_MAGIC;
	MUST(pthread_mutex_init(&x->looking, NULL) == 0);
	MUST(pthread_mutex_init(&x->lock, NULL) == 0);
	return OK;
}

void
examined_free(struct examined **x)
{
	struct examined *old = *x;

	if (old == NULL)
		return;
	OBJ_CHECK(old, EXAMINED_MAGIC);
	*x = NULL;
	doctor_report_fini(&old->report);
	pthread_mutex_destroy(&old->lock);
	pthread_mutex_destroy(&old->looking);
	mem_free(old);
}

static bool
is_fresh(struct examined *x)
{
	pthread_mutex_lock(&x->lock);
	bool is_one = x->has_report && clock_mono_ns() - x->at_mono_ns < EXAMINE_EVERY_NS;
	pthread_mutex_unlock(&x->lock);
	return is_one;
}

/* Under looking. */
static enum err
look(struct runtime *r, struct examined *x, struct errinfo *ei)
{
	struct doctor_report fresh;

	if (is_fresh(x))
		return OK;
	enum err rc = r->options.examine(r->options.examine_arg, &fresh, ei);
	if (rc != OK) {
		doctor_report_fini(&fresh);
		return rc;
	}
	pthread_mutex_lock(&x->lock);
	doctor_report_fini(&x->report);
	x->report = fresh;
	x->has_report = true;
	x->at_mono_ns = clock_mono_ns();
	pthread_mutex_unlock(&x->lock);
	return OK;
}

static enum err
show(struct examined *x, void (*visit)(const struct doctor_report *report, void *arg), void *arg,
	struct errinfo *ei)
{
	enum err rc = OK;

	pthread_mutex_lock(&x->lock);
	if (x->has_report)
		visit(&x->report, arg);
	else
		rc = ERR(ei, ERR_BUSY, "the first examination has not ended yet");
	pthread_mutex_unlock(&x->lock);
	return rc;
}

enum err
runtime_examine(struct runtime *r, void (*visit)(const struct doctor_report *report, void *arg),
	void *arg, struct errinfo *ei)
{
	struct examined *x = r->examined;
	enum err rc = OK;

	OBJ_CHECK(x, EXAMINED_MAGIC);
	if (r->options.examine == NULL)
		return ERR(ei, ERR_UNSUPPORTED, "there is nobody to ask");
	if (pthread_mutex_trylock(&x->looking) == 0) {
		rc = look(r, x, ei);
		pthread_mutex_unlock(&x->looking);
	}
	return rc == OK ? show(x, visit, arg, ei) : rc;
}
