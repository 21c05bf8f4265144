/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Each call that the ledger, and SQLite below it, makes of the disk fails: once, or from then on
 * until it is mended. The ledger refuses or goes on, recovers by itself, and loses nothing that it
 * acknowledged.
 */
#include "base/fault.h"
#include "fault_vfs.h"
#include "pairs.h"

struct kind {
	enum fault_point at;
	bool is_after;
	const char *name;
	const char *error;
};

static const struct kind kinds[] = {
	{FAULT_AT_VFS_OPEN, false, "vfs.open.before", "EIO"},
	{FAULT_AT_VFS_OPEN, true, "vfs.open.after", "EMFILE"},
	{FAULT_AT_VFS_READ, false, "vfs.read.before", "EIO"},
	{FAULT_AT_VFS_WRITE, false, "vfs.write.before", "EIO"},
	{FAULT_AT_VFS_WRITE, false, "vfs.write.before", "ENOSPC"},
	{FAULT_AT_VFS_WRITE, true, "vfs.write.after", "EIO"},
	{FAULT_AT_VFS_HALF, false, "vfs.half.before", "EIO"},
	{FAULT_AT_VFS_HALF, false, "vfs.half.before", "ENOSPC"},
	{FAULT_AT_VFS_SYNC, false, "vfs.sync.before", "EIO"},
	{FAULT_AT_VFS_SYNC, true, "vfs.sync.after", "EIO"},
	{FAULT_AT_VFS_TRUNCATE, false, "vfs.truncate.before", "EIO"},
	{FAULT_AT_VFS_TRUNCATE, true, "vfs.truncate.after", "EIO"},
	{FAULT_AT_VFS_DELETE, false, "vfs.delete.before", "EIO"},
	{FAULT_AT_VFS_DELETE, true, "vfs.delete.after", "EIO"},
	{FAULT_AT_VFS_LOCK, false, "vfs.lock.before", "EIO"},
	{FAULT_AT_VFS_LOCK, true, "vfs.lock.after", "EIO"},
	{FAULT_AT_VFS_SHM, false, "vfs.shm.before", "ENOSPC"},
	{FAULT_AT_VFS_SHM, true, "vfs.shm.after", "EIO"},
	{FAULT_AT_LEDGER_SCHEMA, false, "ledger.schema.before", "EIO"},
	{FAULT_AT_LEDGER_BEGIN, false, "ledger.begin.before", "EIO"},
	{FAULT_AT_LEDGER_BEGIN, true, "ledger.begin.after", "EIO"},
	{FAULT_AT_LEDGER_APPEND, false, "ledger.append.before", "EIO"},
	{FAULT_AT_LEDGER_APPEND, true, "ledger.append.after", "EIO"},
	{FAULT_AT_LEDGER_CLOSE, false, "ledger.close.before", "EIO"},
	{FAULT_AT_LEDGER_CLOSE, true, "ledger.close.after", "EIO"},
	{FAULT_AT_LEDGER_META, false, "ledger.meta.before", "EIO"},
	{FAULT_AT_LEDGER_COMMIT, false, "ledger.commit.before", "EIO"},
	{FAULT_AT_LEDGER_COMMIT, true, "ledger.commit.after", "EIO"},
	{FAULT_AT_FILE_CREATE, false, "file.create.before", "EROFS"},
	{FAULT_AT_FILE_WRITE, false, "file.write.before", "ENOSPC"},
	{FAULT_AT_FILE_SYNC, false, "file.sync.before", "EIO"},
	{FAULT_AT_FILE_RENAME, false, "file.rename.before", "EIO"},
	{FAULT_AT_FILE_RENAME, true, "file.rename.after", "EIO"},
	{FAULT_AT_FILE_SYNC_FOLDER, false, "file.sync_folder.before", "EIO"},
};

static void
check_afterwards(const struct pair *pairs, const char *dir, const char *spec)
{
	struct errinfo ei;
	struct ledger *l = open_and_start(dir, &ei);

	if (l == NULL) {
		FAIL("%s: the next start fails: %s", spec, ei.msg);
		return;
	}
	check_found(pairs, spec, l);
	CHECK_INT(append_one(l, "after"), OK);
	ledger_close(&l);
}

/* A start that was refused says why. */
static struct ledger *
try_to_open(const char *dir, const char *spec)
{
	struct errinfo ei = {OK, ""};
	struct ledger *l = open_and_start(dir, &ei);

	if (l == NULL && (ei.code == OK || ei.msg[0] == '\0'))
		FAIL("%s: refused without a word", spec);
	return l;
}

static enum err
append_when_ready(struct ledger *l)
{
	while (!ledger_is_ready(l, NULL, 0))
		sched_yield();
	return append_one(l, "mended");
}

static void
run_with(const char *spec, bool is_lasting)
{
	struct pair *pairs = calloc(N_PAIRS, sizeof(*pairs));
	const char *dir = fresh_folder();

	MUST(pairs != NULL);
	prepare_pairs(pairs);
	MUST(fault_arm(spec));
	struct ledger *l = try_to_open(dir, spec);
	if (l != NULL) {
		work(pairs, l, !is_lasting);
		MUST(!is_lasting || fault_arm(""));
		/* The one failure may be met only now. */
		if (append_when_ready(l) != OK)
			CHECK_INT(append_when_ready(l), OK);
	}
	ledger_close(&l);
	MUST(fault_arm(""));
	note_late_answers(pairs);
	check_afterwards(pairs, dir, spec);
	fini_pairs(pairs);
	free(pairs);
}

static uint64_t
count_of(const struct kind *k)
{
	static bool is_counted;
	static uint64_t counts[ARRAY_LEN(kinds)];

	if (!is_counted) {
		struct errinfo ei;
		struct pair *pairs = calloc(N_PAIRS, sizeof(*pairs));
		MUST(pairs != NULL);
		prepare_pairs(pairs);
		fault_vfs_install();
		MUST(fault_arm(""));
		struct ledger *l = open_and_start(fresh_folder(), &ei);
		work(pairs, l, true);
		ledger_close(&l);
		for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
			counts[i] = fault_count(kinds[i].at, kinds[i].is_after);
		fini_pairs(pairs);
		free(pairs);
		is_counted = true;
	}
	return counts[k - kinds];
}

static void
try_each_kind(bool is_lasting)
{
	uint64_t n_runs = 0;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		uint64_t n = count_of(&kinds[i]);
		uint64_t step = is_long() ? (n > 200 ? 7 : 1) : n / 3 + 1;
		if (n == 0)
			FAIL("%s is never reached", kinds[i].name);
		for (uint64_t at = 1; at <= n; at += step) {
			char spec[96];
			snprintf(spec, sizeof(spec), "%s:%d%s:error=%s", kinds[i].name, (int)at,
				is_lasting ? "-" : "", kinds[i].error);
			run_with(spec, is_lasting);
			n_runs++;
		}
	}
	printf("      %d runs\n", (int)n_runs);
}

TEST(each_call_fails_once)
{
	try_each_kind(false);
}

TEST(each_call_fails_until_it_is_mended)
{
	try_each_kind(true);
}

SUITE("disk_errors", TEST_ROW(each_call_fails_once), TEST_ROW(each_call_fails_until_it_is_mended))
