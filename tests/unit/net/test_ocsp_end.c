/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The CA's answer about a certificate is read once and sent along for days: not behind its own end. */
#include "base/clock.h"
#include "support/test.h"
#include "tls_priv.h"

#define END_S 1700000000
#define SKEW_S 300

static bool
has_answer_at(int64_t now_s, int64_t end_s)
{
	unsigned char answer[1] = {0};
	const struct tls_certificate c = {.ocsp = answer, .ocsp_n = 1, .ocsp_end_s = end_s};

	clock_fake_set(1, now_s * NS_PER_SEC);
	bool is_there = tls_certificate_has_answer(&c);
	clock_fake_off();
	return is_there;
}

TEST(an_answer_is_not_sent_behind_its_end)
{
	const struct tls_certificate none = {.ocsp = NULL};

	CHECK(has_answer_at(END_S - 1, END_S));
	/* Clocks differ: as much as when it was read. */
	CHECK(has_answer_at(END_S + SKEW_S - 1, END_S));
	CHECK(!has_answer_at(END_S + SKEW_S, END_S));
	CHECK(has_answer_at(END_S * INT64_C(2), INT64_MAX));
	CHECK(!tls_certificate_has_answer(&none));
}

SUITE("ocsp end", TEST_ROW(an_answer_is_not_sent_behind_its_end))
