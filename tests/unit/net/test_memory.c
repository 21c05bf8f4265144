/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Each allocation of ours for a connection and its request failed once: the answer may be
 * missing, never wrong. Not libevent's: 2.1.12 reads null pointers when evhttp_request_new or the
 * copy of the peer's address has no memory.
 */
#include "rig.h"

#include "base/mem.h"

#define GET "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"

static struct rig rig;

/* A new connection and one request, with the n-th allocation failing. True when an answer came. */
static bool
try_with_failure(unsigned long n)
{
	struct rig_client c;
	struct rig_reply reply = {0};

	rig_connect(&rig, &c);
	mem_fail_at(n);
	for (int i = 0; i < 3; i++)
		loop_turn(rig.loop, false);
	CHECK(send(c.fd, GET, sizeof(GET) - 1, MSG_NOSIGNAL) > 0);
	for (int i = 0; i < 6; i++)
		loop_turn(rig.loop, false);
	mem_fail_at(0);
	bool is_answered = rig_wait_reply(&rig, &c, false, &reply);
	/* A wrong answer is none of the outcomes. */
	CHECK(!is_answered || reply.status == 200 || reply.status == 503 || reply.status == 500);
	CHECK(reply.status != 200 || span_eq_cstr(reply.body, "/a"));
	rig_close(&c);
	return is_answered && reply.status == 200;
}

TEST(memory_runs_out)
{
	unsigned n_good = 0;

	rig_options(&rig);
	rig_start(&rig);
	for (unsigned long n = 1; n < 200 && n_good < 3; n++)
		n_good = try_with_failure(n) ? n_good + 1 : 0;
	CHECK_INT(n_good, 3);
	rig_check_alive(&rig);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

SUITE("net/memory", TEST_ROW(memory_runs_out))
