/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of handlers that wait have in common: a server, a board and a loop that are real, and a worker that is played. A
 * test program that defines one of the program's functions itself has that one. Test programs only.
 */
#ifndef TESTS_UNIT_GATEWAY_PLAYED_H
#define TESTS_UNIT_GATEWAY_PLAYED_H

#include "pipeline/board.h"
#include "pipeline/pipeline.h"
#include "runtime/runtime.h"
#include "unit/net/rig.h"

static struct rig rig;
static struct board *board;

struct loop *
worker_get_loop(const struct worker *w)
{
	(void)w;
	return rig.loop;
}

struct snapshot *
worker_get_snapshot(const struct worker *w)
{
	(void)w;
	return NULL;
}

struct pipeline *
worker_get_pipeline(const struct worker *w)
{
	(void)w;
	return NULL;
}

struct board *
pipeline_get_board(const struct pipeline *p)
{
	(void)p;
	return board;
}

/* Turns the loop until the client has it. */
UNUSED static bool
wait_text(struct rig_client *c, const char *text)
{
	int64_t end = clock_mono_ns() + RIG_WAIT_NS;

	while (clock_mono_ns() < end) {
		if (c->in.p != NULL && strstr(c->in.p, text) != NULL)
			return true;
		rig_turn(&rig, c);
	}
	return false;
}

#endif
