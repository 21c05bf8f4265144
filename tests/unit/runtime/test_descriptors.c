/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What the limit of open files leaves for connections. */
#define _GNU_SOURCE /* RLIMIT_NOFILE under strict C11 */

#include <sys/resource.h>

#include "descriptors.h"
#include "support/test.h"

static struct rlimit before;

static void
set_limit(rlim_t soft)
{
	struct rlimit limit = {.rlim_cur = soft, .rlim_max = before.rlim_max};

	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static rlim_t
get_limit(void)
{
	struct rlimit limit = {0};

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	return limit.rlim_cur;
}

TEST(the_soft_limit_is_raised)
{
	struct errinfo ei;
	size_t n = 0;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	set_limit(256);
	CHECK_INT(descriptors_share(300, 2, &n, &ei), OK);
	CHECK_INT(n, 150);
	CHECK(get_limit() >= 300 + 64 && get_limit() < 1000);
	/* It is never lowered. */
	rlim_t high = get_limit();
	CHECK_INT(descriptors_share(10, 1, &n, &ei), OK);
	CHECK_INT(n, 10);
	CHECK_INT(get_limit(), high);
	set_limit(before.rlim_cur);
}

TEST(connections_stay_below_the_hard_limit)
{
	struct errinfo ei;
	size_t n = 0;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	CHECK_INT(descriptors_share((size_t)before.rlim_max * 2, 4, &n, &ei), OK);
	CHECK(n > 0 && n * 4 + 64 < before.rlim_max);
	/* Without a wish the limit stays, and decides. */
	set_limit(512);
	CHECK_INT(descriptors_share(0, 2, &n, &ei), OK);
	CHECK(n * 2 > 256 && n * 2 + 64 < 512);
	CHECK_INT(get_limit(), 512);
	set_limit(before.rlim_cur);
}

TEST(too_low_a_limit_is_named)
{
	struct errinfo ei = {0};
	size_t n = 1;

	CHECK_INT(getrlimit(RLIMIT_NOFILE, &before), 0);
	set_limit(64);
	CHECK_INT(descriptors_share(0, 2, &n, &ei), ERR_INVALID);
	CHECK_INT(n, 0);
	CHECK(strstr(ei.msg, "64 open files") != NULL);
	set_limit(before.rlim_cur);
}

SUITE("runtime/descriptors", TEST_ROW(the_soft_limit_is_raised),
	TEST_ROW(connections_stay_below_the_hard_limit), TEST_ROW(too_low_a_limit_is_named))
