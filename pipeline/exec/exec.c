/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of executors and how they report what went wrong. Which error number is the caller's mistake, which an attempt to
 * leave the workspace and which a fault is decided here and nowhere else. Pool threads.
 */
#include "exec/exec.h"

#include <errno.h>

#include "base/buf.h"

const struct executor *
executor_find(enum action_kind kind)
{
	switch (kind) {
	case ACTION_FS_READ:
		return &fs_read_executor;
	case ACTION_FS_WRITE:
		return &fs_write_executor;
	case ACTION_CUSTOM:
	case ACTION_REPO_APPLY_PATCH:
	case ACTION_PROCESS_EXEC:
	case ACTION_NET_HTTP_REQUEST:
	case ACTION_SECRETS_CHECKOUT:
	case ACTION_KIND__MAX:
		return NULL;
	}
	return NULL;
}

void
exec_fail(struct exec_job *job, enum exec_status status, const char *reason)
{
	struct span resource = job->action->resource.text;
	struct buf b;

	job->status = status;
	/* Whole: a secret in it can only be redacted before anything is cut. */
	buf_init_arena(&b, job->arena, resource.n + ERRINFO_MAX);
	buf_add_span(&b, resource);
	BUF_ADD_LIT(&b, ": ");
	buf_add_cstr(&b, reason);
	job->message = buf_failed(&b) ? span_cstr(reason) : buf_span(&b);
}

void
exec_fail_errno(struct exec_job *job, int errnum, const char *what)
{
	switch (errnum) {
	case ENOENT:
		exec_fail(job, EXEC_BAD_RESOURCE, "not found");
		return;
	case ENOTDIR:
		exec_fail(job, EXEC_BAD_RESOURCE, "part of the path is not a folder");
		return;
	case EISDIR:
	case ENXIO:
	case ENODEV:
		exec_fail(job, EXEC_BAD_RESOURCE, "not a regular file");
		return;
	case ENAMETOOLONG:
	case EINVAL:
		exec_fail(job, EXEC_BAD_RESOURCE, "not a usable file name");
		return;
	case EACCES:
	case EPERM:
		exec_fail(job, EXEC_BAD_RESOURCE, "permission denied");
		return;
	case ELOOP:
	case EXDEV:
		exec_fail(job, EXEC_ESCAPE, "path escape detected");
		return;
	case ESTALE:
		exec_fail(job, EXEC_FAULT, "the workspace is gone");
		(void)ERR(&job->ei, ERR_IO,
			"%s: executor.workspace_root was deleted; make it and reload", what);
		return;
	default:
		exec_fail(job, EXEC_FAULT, "input or output failed");
		(void)ERR_ERRNO(&job->ei, ERR_IO, errnum, "%s", what);
		return;
	}
}
