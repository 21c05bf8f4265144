/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Every so often all metrics are put together for telemetry, and once more at the end. That is the work of one GET /metrics; here no request
 * waits behind it. Main thread.
 */
#include "base/loop.h"
#include "base/metric_writer.h"
#include "base/must.h"
#include "outbound/telemetry.h"
#include "runtime.h"

static void
write_all(struct metric_writer *w, void *arg)
{
	struct runtime *r;

	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	r->options.write_metrics(r, r->snapshot, w);
}

void
observer_tell(struct runtime *r)
{
	if (r->options.telemetry != NULL && r->options.write_metrics != NULL)
		telemetry_collect(r->options.telemetry, write_all, r);
}

static void
on_timer(void *arg)
{
	struct runtime *r;

	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	observer_tell(r);
	loop_timer_arm(r->observer_timer, r->options.telemetry_interval_ns);
}

enum err
observer_init(struct runtime *r, struct errinfo *ei)
{
	if (r->options.telemetry == NULL)
		return OK;
	r->observer_timer = loop_timer_new(r->loop, on_timer, r);
	return r->observer_timer != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

void
observer_start(struct runtime *r)
{
	if (r->observer_timer != NULL)
		loop_timer_arm(r->observer_timer, 0);
}

void
observer_fini(struct runtime *r)
{
	loop_timer_free(&r->observer_timer);
}
