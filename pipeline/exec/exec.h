/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What carries an action out: one row per kind, one file per executor. An executor gets the resolved object that the policy
 * judged, runs on a pool thread, may block, cannot fail but by its status, and never puts a path of the host into its
 * message. While it runs the request's arena is its own.
 */
#ifndef PIPELINE_EXEC_H
#define PIPELINE_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "exec/workspace.h"
#include "policy/action.h"
#include "policy/decision.h"

struct arena;
struct buf;
struct redactor;

/* How an effect ended. */
enum exec_status {
	EXEC_NOT_RUN = 0,
	EXEC_DONE,
	EXEC_BAD_RESOURCE, /* missing, not regular, too large: the caller's mistake */
	EXEC_ESCAPE,       /* a symbolic link, or a way out of the workspace */
	EXEC_FAULT,        /* ours, or the disk's */
	EXEC_NO_MEMORY,    /* the request's arena is full */
	EXEC_UNCERTAIN,    /* it happened; nobody knows whether it lasts */
};

/* Of a snapshot; immutable. */
struct exec_settings {
	struct workspace workspace;
	int64_t max_output_bytes;
	int64_t max_output_lines;
	const struct redactor *redactor;
};

struct exec_job {
	const struct exec_settings *settings;
	const struct action *action;
	const struct obligations *obligations;
	struct arena *arena;
	/* Filled by the executor. */
	enum exec_status status;
	struct span message; /* for the client: the resource and what is wrong with it */
	struct errinfo ei;   /* EXEC_FAULT, EXEC_UNCERTAIN: for the log */
	bool has_output;
	bool truncated;
	bool has_bytes_written;
	struct span output;
	int64_t bytes_read;
	int64_t lines_read;
	int64_t bytes_written;
};

struct executor {
	void (*run)(struct exec_job *job);
	/* Appends executor_metadata as a canonical JSON object. */
	void (*describe)(const struct exec_job *job, struct buf *out);
};

/* NULL when nothing here carries that kind out. */
const struct executor *executor_find(enum action_kind kind);

/* Ends the job with "RESOURCE: reason"; reason is static text. */
void exec_fail(struct exec_job *job, enum exec_status status, const char *reason);
/* The same for a system call that failed: what the error number means for the caller. */
void exec_fail_errno(struct exec_job *job, int errnum, const char *what);

extern const struct executor fs_read_executor;
extern const struct executor fs_write_executor;

#endif
