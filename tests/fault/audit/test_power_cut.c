/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The power goes at each call that SQLite makes of the disk, from the first of a new ledger to the
 * last of its close, and again while the next start recovers. What was acknowledged is there, the
 * chain is whole, open intents become unknown, and what was refused holds no claim.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "disk_model.h"
#include "pairs.h"

struct scenario {
	struct disk disk;
	struct pair pairs[N_PAIRS];
};

/* The files that base/fdio.h writes: each is synced with its folder before it counts. */
static void
carry_over(const char *from, const char *to)
{
	static const char *const names[] = {"/ledger.db.key", "/ledger.db.pub", "/ledger.db.head"};
	char path[600];
	struct errinfo ei;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf b;
		buf_init(&b, 65536);
		snprintf(path, sizeof(path), "%s%s", from, names[i]);
		if (fdio_read_file(path, 65536, &b, NULL) == OK) {
			snprintf(path, sizeof(path), "%s%s", to, names[i]);
			MUST(fdio_write_file(path, buf_span(&b), 0600, &ei) == OK);
		}
		buf_fini(&b);
	}
}

static const char *
reboot(struct disk *d, const char *dir)
{
	const char *next = fresh_folder();

	disk_reboot(d, next);
	carry_over(dir, next);
	return next;
}

/* ---- the runs ---- */

/* Cuts at call n of a run, and at call n_again of the start after it (0: not). Returns the calls of the first run. */
static uint64_t
run_and_cut(uint64_t seed, uint64_t n, uint64_t n_again)
{
	struct scenario *s = calloc(1, sizeof(*s));
	const char *dir = fresh_folder();
	struct errinfo ei;

	MUST(s != NULL);
	prepare_pairs(s->pairs);
	disk_start(&s->disk, seed, n);
	struct ledger *l = open_and_start(dir, &ei);
	if (l != NULL)
		work(s->pairs, l, false);
	ledger_close(&l);
	note_late_answers(s->pairs);
	uint64_t n_calls = s->disk.n_calls;
	dir = reboot(&s->disk, dir);
	if (n_again != 0) {
		disk_start(&s->disk, seed + 1, n_again);
		disk_load(&s->disk, ledger_path_in(dir), "");
		disk_load(&s->disk, ledger_path_in(dir), "-wal");
		disk_load(&s->disk, ledger_path_in(dir), "-journal");
		l = open_and_start(dir, &ei);
		ledger_close(&l);
		dir = reboot(&s->disk, dir);
	}
	l = open_and_start(dir, &ei);
	if (l == NULL) {
		FAIL("cut at %d, again at %d, seed %d: %s", (int)n, (int)n_again, (int)seed,
			ei.msg);
	} else {
		check_found(s->pairs, dir, l);
		CHECK_INT(append_one(l, "after"), OK);
	}
	ledger_close(&l);
	fini_pairs(s->pairs);
	free(s);
	return n_calls;
}

TEST(a_run_without_a_cut_makes_the_calls_that_are_cut)
{
	uint64_t n = run_and_cut(1, 0, 0);

	printf("      %d calls\n", (int)n);
	CHECK(n > 400);
}

/* Each of the first calls, which make the file; then each, or some. */
TEST(the_power_goes_at_each_call)
{
	uint64_t n_calls = run_and_cut(1, 0, 0);
	uint64_t step = is_long() ? 1 : 7;
	uint64_t n_seeds = is_long() ? 3 : 1;
	uint64_t n_cuts = 0;

	for (uint64_t seed = 1; seed <= n_seeds; seed++) {
		for (uint64_t n = 1; n <= n_calls; n += n < 40 ? 1 : step) {
			(void)run_and_cut(seed * 1000 + n, n, 0);
			n_cuts++;
		}
	}
	printf("      %d cuts over %d calls\n", (int)n_cuts, (int)n_calls);
}

TEST(the_power_goes_again_while_the_next_start_recovers)
{
	uint64_t step = is_long() ? 3 : 37;

	for (uint64_t n = 3; n <= 700; n += step) {
		for (uint64_t again = 1; again <= 40; again += is_long() ? 3 : 13)
			(void)run_and_cut(n * 31 + again, n, again + n % 3);
	}
}

SUITE("power_cut", TEST_ROW(a_run_without_a_cut_makes_the_calls_that_are_cut),
	TEST_ROW(the_power_goes_at_each_call),
	TEST_ROW(the_power_goes_again_while_the_next_start_recovers))
