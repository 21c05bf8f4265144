/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * fs.read: the text of one regular file of the workspace, redacted, within the limits of the configuration and of the
 * policy (nomos-policy.md 5.3). A file with several names is refused, because the policy has judged only one of them. It never
 * reads more than the limit and a fixed look-ahead. Pool threads.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fault.h"
#include "exec/exec.h"
#include "exec/output.h"

/* Reads until want bytes or the end; 0 or an error number. */
static int
read_up_to(int fd, char *p, size_t want, size_t *n)
{
	*n = 0;
	while (*n < want) {
		ssize_t got = FAULT_BEFORE(FS_READ) ? -1 : read(fd, p + *n, want - *n);

		if (FAULT_AFTER(FS_READ))
			got = -1;

		if (got == 0)
			return 0;
		if (got > 0)
			*n += (size_t)got;
		else if (errno != EINTR)
			return errno;
	}
	return 0;
}

/* The file up to the limit and the look-ahead; *is_cut when more follows. */
static int
read_source(struct exec_job *job, int fd, struct span *source, bool *is_cut)
{
	size_t want = (size_t)job->settings->max_output_bytes + OUTPUT_LOOK_AHEAD_BYTES;
	struct stat st;
	char *p;
	size_t n;
	int rc;

	if (fstat(fd, &st) != 0)
		return errno;
	/* One byte more than there is tells the end of a file that does not grow. */
	if (st.st_size >= 0 && (uint64_t)st.st_size < want)
		want = (size_t)st.st_size + 1;
	p = arena_alloc(job->arena, want);
	if (p == NULL)
		return ENOMEM;
	rc = read_up_to(fd, p, want, &n);
	*source = span_of(p, n);
	*is_cut = n == want;
	return rc;
}

static void
fail_to_read(struct exec_job *job, int errnum)
{
	if (errnum == EMLINK)
		exec_fail(job, EXEC_BAD_RESOURCE, "resource has several names");
	else if (errnum == ENOMEM && arena_failed(job->arena))
		exec_fail(job, EXEC_NO_MEMORY, "out of memory");
	else
		exec_fail_errno(job, errnum, "fs.read");
}

static void
run(struct exec_job *job)
{
	const struct exec_settings *s = job->settings;
	struct span source = SPAN_NONE;
	struct output out;
	bool is_cut = false;
	int fd;
	int rc = workspace_open_file(&s->workspace, job->action->resource.path, job->arena, &fd);

	if (rc != 0) {
		fail_to_read(job, rc);
		return;
	}
	rc = read_source(job, fd, &source, &is_cut);
	(void)workspace_close_fd(fd);
	if (rc != 0) {
		fail_to_read(job, rc);
		return;
	}
	if (!output_limit(s->redactor, source, is_cut, s->max_output_bytes, s->max_output_lines,
		    job->arena, &out)) {
		exec_fail(job, EXEC_NO_MEMORY, "out of memory");
		return;
	}
	job->bytes_read = out.n_bytes;
	job->lines_read = out.n_lines;
	output_apply_obligations(job->obligations, &out);
	job->status = EXEC_DONE;
	job->has_output = true;
	job->output = out.text;
	job->truncated = out.truncated;
}

static void
describe(const struct exec_job *job, struct buf *out)
{
	buf_printf(out, "{\"bytes_read\":%lld,\"lines_read\":%lld,\"truncated\":%s}",
		(long long)job->bytes_read, (long long)job->lines_read,
		job->truncated ? "true" : "false");
}

const struct executor fs_read_executor = {run, describe};
