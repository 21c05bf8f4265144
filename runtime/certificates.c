/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of TLS are read anew when their files change: by a look at them every now and then, and at SIGHUP. The
 * look is on the pool, since a file may be on a slow disk; one at a time. What is refused is logged and changes nothing.
 * Main thread, but for the look itself.
 */
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/must.h"
#include "net/tls.h"
#include "runtime.h"

#define CERTIFICATES_MAGIC 0x63657274u

struct certificates {
	unsigned magic;
	struct runtime *runtime;
	struct loop_timer *timer;
	struct workq_item item;
	bool is_looking;
	bool is_forced; /* this look; and the next one */
	bool next_is_forced;
	bool has_changed;
	enum err result;
	struct errinfo ei;
	const char *told_over; /* what of those in use has ended, as it was said; NULL: nothing */
	char told
		[ERRINFO_MAX]; /* the last failure that was said; empty: none since they were good */
};

static struct certificates *
certificates_of(struct workq_item *item)
{
	struct certificates *c =
		(struct certificates *)(void *)((char *)item - offsetof(struct certificates, item));

	OBJ_CHECK(c, CERTIFICATES_MAGIC);
	return c;
}

/* Pool thread. */
static void
look(struct workq_item *item)
{
	struct certificates *c = certificates_of(item);

	c->result = tls_keeper_look(c->runtime->options.tls, c->is_forced, &c->has_changed, &c->ei);
}

static void
tell_end(struct certificates *c)
{
	char text[CLOCK_TEXT_MAX];
	struct tls_context *now = tls_keeper_take(c->runtime->options.tls);
	int64_t end_s = tls_context_get_end_s(now);

	/* One that is to have no end says 9999; our time ends in 2262. */
	clock_format((end_s < INT64_MAX / NS_PER_SEC ? end_s : INT64_MAX / NS_PER_SEC) * NS_PER_SEC,
		text);
	log_info(NULL, "TLS certificates are read anew; the first of them ends at %s", text);
	tls_context_unref(&now);
}

/* What fails is tried again at each look, and said when it is new or asked for. */
static void
tell_failure(struct certificates *c)
{
	if (!c->is_forced && strcmp(c->told, c->ei.msg) == 0)
		return;
	memcpy(c->told, c->ei.msg, sizeof(c->told));
	metric_add(METRIC_TLS_RELOADS_FAILED, 1);
	log_error(NULL, "TLS certificates are not read anew, those in use stay: %s", c->ei.msg);
}

/* Files that stay as they are come to their end, too. */
static void
tell_over(struct certificates *c)
{
	struct tls_context *now = tls_keeper_take(c->runtime->options.tls);
	const char *over = tls_context_find_over(now);

	tls_context_unref(&now);
	if (over != NULL && over != c->told_over)
		log_error(NULL, "TLS: %s", over);
	c->told_over = over;
}

static void start_look(struct certificates *c);

static void
on_looked(struct workq_item *item)
{
	struct certificates *c = certificates_of(item);

	c->is_looking = false;
	if (c->result != OK) {
		tell_failure(c);
	} else if (c->has_changed) {
		c->told[0] = '\0';
		metric_add(METRIC_TLS_RELOADS, 1);
		tell_end(c);
	}
	tell_over(c);
	if (c->next_is_forced && c->timer != NULL)
		start_look(c);
}

static void
start_look(struct certificates *c)
{
	c->is_forced = c->next_is_forced;
	c->item = (struct workq_item){.loop = c->runtime->loop, .process = look, .done = on_looked};
	c->is_looking = workq_submit(c->runtime->pool, &c->item) == OK;
	/* A full pool: the next look does it. */
	if (c->is_looking)
		c->next_is_forced = false;
}

static void
on_timer(void *arg)
{
	struct certificates *c;

	OBJ_CAST(c, arg, CERTIFICATES_MAGIC);
	if (!c->is_looking)
		start_look(c);
	loop_timer_arm(c->timer, c->runtime->options.tls_look_ns);
}

void
certificates_look(struct runtime *r)
{
	struct certificates *c = r->certificates;

	if (c == NULL)
		return;
	c->next_is_forced = true;
	if (!c->is_looking)
		start_look(c);
}

enum err
certificates_init(struct runtime *r, struct errinfo *ei)
{
	if (r->options.tls == NULL)
		return OK;
	struct certificates *c = mem_zalloc(1, sizeof(*c));
	if (c == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	c->magic = CERTIFICATES_MAGIC;
	c->runtime = r;
	r->certificates = c;
	c->timer = loop_timer_new(r->loop, on_timer, c);
	if (c->timer == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	return OK;
}

void
certificates_start(struct runtime *r)
{
	if (r->certificates != NULL)
		loop_timer_arm(r->certificates->timer, r->options.tls_look_ns);
}

void
certificates_stop(struct runtime *r)
{
	if (r->certificates != NULL)
		loop_timer_free(&r->certificates->timer);
}

void
certificates_fini(struct runtime *r)
{
	struct certificates *c = r->certificates;

	if (c == NULL)
		return;
	OBJ_CHECK(c, CERTIFICATES_MAGIC);
	r->certificates = NULL;
	c->magic = 0;
	mem_free(c);
}
