/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Doctor's report of the running gateway, kept for a few seconds, so that a page that asks again and again costs one look at the
 * disk. One look at a time; who comes meanwhile waits for it. Blocking: reader threads only.
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
	pthread_mutex_t lock; /* guards the report, also while somebody reads it */
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
	mem_free(old);
}

static enum err
look(struct runtime *r, struct examined *x, struct errinfo *ei)
{
	struct doctor_report fresh;

	if (x->has_report && clock_mono_ns() - x->at_mono_ns < EXAMINE_EVERY_NS)
		return OK;
	enum err rc = r->options.examine(r->options.examine_arg, &fresh, ei);
	if (rc != OK) {
		doctor_report_fini(&fresh);
		return rc;
	}
	doctor_report_fini(&x->report);
	x->report = fresh;
	x->has_report = true;
	x->at_mono_ns = clock_mono_ns();
	return OK;
}

enum err
runtime_examine(struct runtime *r, void (*visit)(const struct doctor_report *report, void *arg),
	void *arg, struct errinfo *ei)
{
	struct examined *x = r->examined;

	OBJ_CHECK(x, EXAMINED_MAGIC);
	if (r->options.examine == NULL)
		return ERR(ei, ERR_UNSUPPORTED, "there is nobody to ask");
	pthread_mutex_lock(&x->lock);
	enum err rc = look(r, x, ei);
	if (rc == OK)
		visit(&x->report, arg);
	pthread_mutex_unlock(&x->lock);
	return rc;
}
