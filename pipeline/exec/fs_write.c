/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.write: replaces or makes one regular file of the workspace, whole or not at all (nomos-policy.md 5.4, weak spot 31): a
 * temporary file in the same folder, fsync, rename, fsync of the folder. It never opens the target, so that a link put in
 * its place is replaced and not followed, and it refuses to replace what is no regular file. Pool threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/fdio.h"
#include "base/hash.h"
#include "base/rand.h"
#include "exec/exec.h"

enum {
	NEW_FILE_MODE = 0600,
	MODE_KEPT = 0777, /* no set-id bits: the content is another one */
	NAME_RANDOM_BYTES = 12,
};

struct target {
	int dir;
	const char *name;
	mode_t mode;
	char temporary[sizeof(".nomos-") + 2 * NAME_RANDOM_BYTES];
};

/* What is there now decides the mode; only a regular file may be replaced. */
static bool
check_target(struct exec_job *job, struct target *t)
{
	struct stat st;

	t->mode = NEW_FILE_MODE;
	if (fstatat(t->dir, t->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno == ENOENT)
			return true;
		exec_fail_errno(job, errno, "fs.write: fstatat");
		return false;
	}
	if (S_ISLNK(st.st_mode)) {
		exec_fail(job, EXEC_ESCAPE, "path escape detected");
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		exec_fail(job, EXEC_BAD_RESOURCE, "not a regular file");
		return false;
	}
	t->mode = st.st_mode & MODE_KEPT;
	return true;
}

static bool
name_temporary(struct exec_job *job, struct target *t)
{
	unsigned char random[NAME_RANDOM_BYTES];

	if (rand_bytes(random, sizeof(random), &job->ei) != OK) {
		exec_fail(job, EXEC_FAULT, "input or output failed");
		return false;
	}
	memcpy(t->temporary, ".nomos-", sizeof(".nomos-") - 1);
	hash_hex(random, sizeof(random), t->temporary + sizeof(".nomos-") - 1);
	return true;
}

/* Content and mode on disk; OK or job->ei. */
static enum err
fill_temporary(struct exec_job *job, const struct target *t, int fd)
{
	enum err rc = FAULT_AROUND(FS_WRITE_WRITE, &job->ei,
		fdio_write_all(fd, job->action->params.content, &job->ei));

	if (rc == OK && (fchmod(fd, t->mode) != 0 || FAULT_BEFORE(FS_WRITE_SYNC) ||
				fsync(fd) != 0 || FAULT_AFTER(FS_WRITE_SYNC)))
		rc = ERR_ERRNO(&job->ei, ERR_IO, errno, "fs.write: fsync");
	return rc;
}

/* Content on disk under the temporary name; false with the job failed. */
static bool
write_temporary(struct exec_job *job, const struct target *t)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	int fd = FAULT_BEFORE(FS_WRITE_CREATE) ? -1
					       : openat(t->dir, t->temporary, flags, NEW_FILE_MODE);
	bool is_ok = true;

	if (fd < 0) {
		exec_fail_errno(job, errno, "fs.write: temporary file");
		return false;
	}
	(void)FAULT_AFTER(FS_WRITE_CREATE);
	if (fill_temporary(job, t, fd) != OK) {
		exec_fail(job, EXEC_FAULT, "input or output failed");
		is_ok = false;
	}
	if (workspace_close_fd(fd) != 0 && is_ok) {
		exec_fail_errno(job, errno, "fs.write: close");
		is_ok = false;
	}
	return is_ok;
}

static void
replace(struct exec_job *job, struct target *t)
{
	if (!check_target(job, t) || !name_temporary(job, t))
		return;
	if (!write_temporary(job, t)) {
		(void)unlinkat(t->dir, t->temporary, 0);
		return;
	}
	if (FAULT_BEFORE(FS_WRITE_RENAME) || renameat(t->dir, t->temporary, t->dir, t->name) != 0) {
		exec_fail_errno(job, errno, "fs.write: rename");
		(void)unlinkat(t->dir, t->temporary, 0);
		return;
	}
	(void)FAULT_AFTER(FS_WRITE_RENAME);
	job->has_bytes_written = true;
	job->bytes_written = (int64_t)job->action->params.content.n;
	job->status = EXEC_DONE;
	/* The new content is there for everybody to see. That is no failure which one may repeat. */
	if (FAULT_BEFORE(FS_WRITE_SYNC_FOLDER) || fsync(t->dir) != 0 ||
		FAULT_AFTER(FS_WRITE_SYNC_FOLDER)) {
		(void)ERR_ERRNO(&job->ei, ERR_IO, errno, "fs.write: fsync of the folder");
		exec_fail(job, EXEC_UNCERTAIN,
			"the file was replaced but may not survive a power cut");
	}
}

static void
run(struct exec_job *job)
{
	const struct exec_settings *s = job->settings;
	struct target t;
	int rc;

	if (job->action->params.content.n > (size_t)s->max_output_bytes) {
		exec_fail(job, EXEC_BAD_RESOURCE, "content exceeds max bytes");
		return;
	}
	rc = workspace_open_parent(
		&s->workspace, job->action->resource.path, job->arena, &t.dir, &t.name);
	if (rc == ENOMEM && arena_failed(job->arena)) {
		exec_fail(job, EXEC_NO_MEMORY, "out of memory");
		return;
	}
	if (rc != 0) {
		exec_fail_errno(job, rc, "fs.write: folder");
		return;
	}
	replace(job, &t);
	(void)workspace_close_fd(t.dir);
}

/* The kernel's path rules are the sandbox of this kind; it has no network and one folder. */
static void
describe(const struct exec_job *job, struct buf *out)
{
	buf_printf(out,
		"{\"bytes_written\":%lld,\"sandbox_backend\":\"local\","
		"\"sandbox_network_egress\":\"deny\","
		"\"sandbox_writable_paths\":[\"file://workspace/\"]}",
		(long long)job->bytes_written);
}

const struct executor fs_write_executor = {run, describe};
