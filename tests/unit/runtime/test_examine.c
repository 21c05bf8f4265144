/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Doctor's report of the running gateway while a look at the disk does not end: nobody else waits for it. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "runtime.h"
#include "runtime/doctor.h"
#include "support/test.h"

/* Who asks while the look goes on gets this. */
struct looks {
	struct runtime *runtime;
	size_t n;
	size_t n_shown;
	enum err meanwhile;
};

static void
count(const struct doctor_report *report, void *arg)
{
	struct looks *looks = arg;

	CHECK(report->is_ready);
	looks->n_shown++;
}

/* Asks for the report as another reader would in the middle of the look. */
static enum err
examine(void *arg, struct doctor_report *out, struct errinfo *ei)
{
	struct looks *looks = arg;

	looks->n++;
	looks->meanwhile = runtime_examine(looks->runtime, count, looks, ei);
	memset(out, 0, sizeof(*out));
	out->is_ready = true;
	return OK;
}

TEST(nobody_waits_for_a_look)
{
	struct runtime *r = mem_zalloc(1, sizeof(*r));
	struct looks looks = {.runtime = r};
	struct errinfo ei;

	CHECK(r != NULL);
	r->options.examine = examine;
	r->options.examine_arg = &looks;
	clock_fake_set(NS_PER_SEC, NS_PER_SEC);
	CHECK_INT(examined_new(&r->examined, &ei), OK);
	CHECK_INT(runtime_examine(r, count, &looks, &ei), OK);
	CHECK_INT(looks.meanwhile, ERR_BUSY);
	CHECK_INT(looks.n_shown, 1);
	/* It is kept for a while. */
	CHECK_INT(runtime_examine(r, count, &looks, &ei), OK);
	CHECK(looks.n == 1 && looks.n_shown == 2);
	/* Then the last one answers who comes meanwhile. */
	clock_fake_advance(60 * NS_PER_SEC);
	CHECK_INT(runtime_examine(r, count, &looks, &ei), OK);
	CHECK_INT(looks.meanwhile, OK);
	CHECK(looks.n == 2 && looks.n_shown == 4);
	clock_fake_off();
	examined_free(&r->examined);
	mem_free(r);
}

SUITE("examine", TEST_ROW(nobody_waits_for_a_look))
