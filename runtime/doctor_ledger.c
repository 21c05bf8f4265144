/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks of the ledger. They look at the file and its folder and open nothing for writing; only
 * the deep check reads the records, through the reader that never writes to the file
 * (audit/source.h). One thread.
 */
#define _GNU_SOURCE /* statfs is Linux's own */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "audit/checkpoint.h"
#include "audit/source.h"
#include "audit/store.h"
#include "audit/verify.h"
#include "base/arena.h"
#include "base/fdio.h"
#include "base/parse.h"
#include "doctor_checks.h"
#include "pipeline/options.h"
#include "runtime/options.h"

#define PATH_BYTES 4200
#define LOCKS_BYTES_MAX (4 * 1024 * 1024)
#define SPACE_MIN ((uint64_t)16 * 1024 * 1024)
#define GROWN_BYTES ((int64_t)4 * 1024 * 1024 * 1024)
#define SPACE_GOOD ((uint64_t)256 * 1024 * 1024)
/* Of SQLite's file format: magic 0..15, user_version 60..63, application_id 68..71, big-endian. */
#define HEADER_BYTES 100

static bool
is_stateless(const struct doctor *d)
{
	return d->in->pipeline->runtime.stateless_mode;
}

static enum finding
say_stateless(struct doctor *d)
{
	return doctor_say(d, FINDING_PASS, "stateless mode: there is no ledger");
}

/* The ledger's path with something behind it. */
static const char *
path_with(const struct doctor *d, const char *suffix, char out[PATH_BYTES])
{
	snprintf(out, PATH_BYTES, "%.*s%s", SPAN_ARG(d->in->ledger->path), suffix);
	return out;
}

static const char *
folder_of_ledger(const struct doctor *d, char out[PATH_BYTES])
{
	path_with(d, "", out);
	char *slash = strrchr(out, '/');
	if (slash == NULL)
		snprintf(out, PATH_BYTES, ".");
	else if (slash == out)
		out[1] = '\0';
	else
		*slash = '\0';
	return out;
}

static bool
is_there(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0;
}

/* A line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 4711 08:01:393220 0 EOF". */
static bool
names_lock(struct span line, const char *inode)
{
	struct span mark = span_cstr(inode);
	bool is_flock = false;
	bool is_ours = false;

	for (size_t at = 0; at < line.n; at++) {
		struct span rest = span_from(line, at);
		is_flock = is_flock || span_starts(rest, SPAN_LIT(" FLOCK "));
		is_ours = is_ours || span_starts(rest, mark);
	}
	return is_flock && is_ours;
}

bool
doctor_ledger_is_held(const struct doctor *d)
{
	char path[PATH_BYTES];
	char inode[32];
	struct stat st;
	struct buf locks;
	bool is_held = false;

	if (is_stateless(d) || stat(path_with(d, ".lock", path), &st) != 0)
		return false;
	snprintf(inode, sizeof(inode), ":%" PRIuMAX " ", (uintmax_t)st.st_ino);
	buf_init(&locks, LOCKS_BYTES_MAX + 1);
	struct span rest = SPAN_NONE;
	if (fdio_read_file("/proc/locks", LOCKS_BYTES_MAX, &locks, NULL) == OK)
		rest = buf_span(&locks);
	while (rest.n > 0 && !is_held) {
		size_t end = span_find(rest, '\n');
		is_held = names_lock(span_of(rest.p, end), inode);
		rest = span_from(rest, end < rest.n ? end + 1 : end);
	}
	buf_fini(&locks);
	return is_held;
}

static uint32_t
read_be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A file whose first pages are still in the write-ahead log has no header of its own yet. */
static enum finding
judge_header(struct doctor *d, const char *path)
{
	unsigned char header[HEADER_BYTES] = {0};
	char wal[PATH_BYTES];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd >= 0 ? pread(fd, header, sizeof(header), 0) : -1;
	int errnum = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return doctor_say(d, FINDING_FAIL, "%s: %s", path, strerror(errnum));
	bool is_sqlite = n == (ssize_t)sizeof(header) && memcmp(header, "SQLite format 3", 16) == 0;
	uint32_t application = read_be32(header + 68);
	if ((n == 0 || (is_sqlite && application == 0)) && is_there(path_with(d, "-wal", wal)))
		return doctor_say(d, FINDING_PASS, "still in its write-ahead log; --deep reads it");
	if (n == 0)
		return doctor_say(d, FINDING_PASS, "empty: it will be made at the first start");
	if (!is_sqlite || application != STORE_APPLICATION_ID)
		return doctor_say(d, FINDING_FAIL, "%s is not a ledger", path);
	if (read_be32(header + 60) > STORE_SCHEMA_VERSION)
		return doctor_say(d, FINDING_FAIL, "%s was written by a newer nomos", path);
	return doctor_say(d, FINDING_PASS, "there, and a ledger");
}

enum finding
check_ledger_opens(struct doctor *d)
{
	char path[PATH_BYTES];
	char other[PATH_BYTES];
	struct stat st;

	if (is_stateless(d))
		return say_stateless(d);
	folder_of_ledger(d, other);
	if (access(other, W_OK | X_OK) != 0)
		return doctor_say(d, FINDING_FAIL, "%s: %s", other, strerror(errno));
	path_with(d, "", path);
	if (stat(path, &st) != 0 && errno == ENOENT) {
		if (is_there(path_with(d, ".head", other)))
			return doctor_say(d, FINDING_FAIL,
				"%s is missing, but its head file is there: restore it, or `nomos "
				"audit seal`",
				path);
		return doctor_say(d, FINDING_PASS, "it will be made at the first start");
	}
	if (access(path, R_OK | W_OK) != 0)
		return doctor_say(d, FINDING_FAIL, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return doctor_say(d, FINDING_FAIL, "%s is not a regular file", path);
	return judge_header(d, path);
}

static const char *
key_path(const struct doctor *d, char out[PATH_BYTES])
{
	struct span own = d->in->audit->checkpoint_key_path;

	if (own.n == 0)
		return path_with(d, ".key", out);
	snprintf(out, PATH_BYTES, "%.*s", SPAN_ARG(own));
	return out;
}

enum finding
check_ledger_key(struct doctor *d)
{
	char path[PATH_BYTES];
	char ledger[PATH_BYTES];
	struct sign_key *key = NULL;
	struct errinfo ei;

	if (is_stateless(d))
		return say_stateless(d);
	enum err rc = checkpoint_load_key(key_path(d, path), "", false, &key, &ei);
	sign_key_free(&key);
	if (rc == OK)
		return doctor_say(d, FINDING_PASS, "only its owner can use it");
	if (rc == ERR_NOT_FOUND && !is_there(path_with(d, "", ledger)))
		return doctor_say(d, FINDING_PASS, "it will be made at the first start");
	return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
}

enum finding
check_ledger_space(struct doctor *d)
{
	char folder[PATH_BYTES];
	struct statvfs st;

	if (is_stateless(d))
		return say_stateless(d);
	if (statvfs(folder_of_ledger(d, folder), &st) != 0)
		return doctor_say(d, FINDING_FAIL, "%s: %s", folder, strerror(errno));
	uint64_t n_free = (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
	if (n_free < SPACE_MIN)
		return doctor_say(d, FINDING_FAIL, "less than 16 MiB are free");
	if (n_free < SPACE_GOOD)
		return doctor_say(d, FINDING_ADVICE, "less than 256 MiB are free for the ledger");
	return doctor_say(d, FINDING_PASS, "256 MiB or more are free");
}

/* It works at any size; what grows are backups, verification and the disk. */
enum finding
check_ledger_growth(struct doctor *d)
{
	const struct audit_retention_section *r = &d->in->audit->retention;
	char path[PATH_BYTES];
	struct stat st;

	if (is_stateless(d))
		return say_stateless(d);
	if (r->days > 0 || r->records > 0)
		return doctor_say(d, FINDING_PASS, "old records go into archives");
	if (stat(path_with(d, "", path), &st) == 0 && st.st_size >= GROWN_BYTES)
		return doctor_say(
			d, FINDING_ADVICE, "it is over 4 GiB, and all records stay for ever");
	return doctor_say(d, FINDING_PASS, "below 4 GiB; all records stay for ever");
}

bool
doctor_has_ledger(const struct doctor *d)
{
	char path[PATH_BYTES];

	return !is_stateless(d) && is_there(path_with(d, "", path));
}

bool
doctor_find_disk(const struct doctor *d, enum doctor_disk *out, const char **name)
{
	/* linux/magic.h and cifs: a write-ahead log does not work over a network; memory is
	 * not durable. */
	static const struct {
		uint32_t magic;
		enum doctor_disk disk;
		const char *name;
	} known[] = {{0x6969, DOCTOR_DISK_NETWORK, "NFS"},
		{0xff534d42, DOCTOR_DISK_NETWORK, "CIFS"},
		{0xfe534d42, DOCTOR_DISK_NETWORK, "SMB2"}, {0x01021997, DOCTOR_DISK_NETWORK, "9P"},
		{0x00c36400, DOCTOR_DISK_NETWORK, "Ceph"},
		{0x01021994, DOCTOR_DISK_MEMORY, "tmpfs"},
		{0x858458f6, DOCTOR_DISK_MEMORY, "ramfs"},
		{0x794c7630, DOCTOR_DISK_LAYER, "the container's own layer (overlay)"}};
	char folder[PATH_BYTES];
	struct statfs st;

	*out = DOCTOR_DISK_LOCAL;
	*name = "a local disk";
	if (statfs(folder_of_ledger(d, folder), &st) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if ((uint32_t)st.f_type != known[i].magic)
			continue;
		*out = known[i].disk;
		*name = known[i].name;
	}
	return true;
}

enum finding
check_ledger_file_system(struct doctor *d)
{
	char folder[PATH_BYTES];
	enum doctor_disk disk = DOCTOR_DISK_LOCAL;
	const char *name = NULL;

	if (is_stateless(d))
		return say_stateless(d);
	if (!doctor_find_disk(d, &disk, &name))
		return doctor_say(
			d, FINDING_FAIL, "%s: %s", folder_of_ledger(d, folder), strerror(errno));
	switch (disk) {
	case DOCTOR_DISK_LOCAL:
		return FINDING_PASS;
	case DOCTOR_DISK_NETWORK:
		return doctor_say(d, FINDING_FAIL, "%s is not a local disk", name);
	case DOCTOR_DISK_MEMORY:
		return doctor_say(d, FINDING_ADVICE,
			"the ledger lies in memory (%s) and ends with the host", name);
	case DOCTOR_DISK_LAYER:
		return doctor_say(d, FINDING_ADVICE,
			"the ledger lies in %s and ends with the container", name);
	}
	return FINDING_FAIL;
}

static enum err
read_chain(const struct doctor *d, const char *ledger, struct verify_options *options,
	struct verify_result *result, struct errinfo *ei)
{
	char head[PATH_BYTES];
	struct checkpoint newest;
	struct source *source = NULL;
	/* Before the ledger: a running gateway writes the record first. */
	enum err rc = checkpoint_read_head(path_with(d, ".head", head), &newest, ei);

	if (rc == OK)
		options->head_file = &newest;
	else if (rc != ERR_NOT_FOUND)
		return rc;
	rc = source_open(ledger, SOURCE_SHARED, &source, ei);
	if (rc == OK)
		rc = verify_source(source, options, result, ei);
	source_free(&source);
	options->head_file = NULL;
	return rc;
}

static enum finding
verify(struct doctor *d, const char *ledger)
{
	char path[PATH_BYTES];
	struct verify_options options = {.key = NULL};
	struct verify_result result;
	struct sign_key *key = NULL;
	struct errinfo ei;

	/* What is wrong with the key is its own check's matter. */
	if (checkpoint_load_key(key_path(d, path), "", false, &key, NULL) == OK)
		options.key = key;
	enum err rc = read_chain(d, ledger, &options, &result, &ei);
	sign_key_free(&key);
	if (rc != OK)
		return doctor_say(d, FINDING_FAIL, "%s", ei.msg);
	if (!result.is_good)
		return doctor_say(
			d, FINDING_FAIL, "record %" PRIu64 ": %s", result.bad_seq, result.reason);
	return doctor_say(d, FINDING_PASS, "whole: %" PRIu64 " records, %" PRIu64 " checkpoints",
		result.n_records, result.n_checkpoints);
}

enum finding
check_ledger_chain(struct doctor *d)
{
	char path[PATH_BYTES];

	if (is_stateless(d))
		return say_stateless(d);
	if (!is_there(path_with(d, "", path)))
		return doctor_say(d, FINDING_PASS, "there is no ledger yet");
	return verify(d, path);
}
