/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log: one JSON object per line on stderr, or "[LEVEL] text" for the command line
 * (log_set_format). Every line passes the default redactor. Lines go through a bounded queue to a
 * writer thread once log_start has run (before that they are written directly); when the queue is
 * full a line is dropped and counted. The log is not the audit: the audit never drops. Any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h> /* before the table, which stands inside an enum here */
#include <stdint.h>

#include "base/attr.h"
#include "base/span.h"

enum log_level { LOG_ERROR = 0, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_JSON = 0, LOG_TEXT };

enum log_module {
#define X(id, name) id,
#include "base/log_module_tbl.h"
#undef X
	LOG_MODULE__MAX
};
#ifndef NOMOS_LOG_MODULE
#define NOMOS_LOG_MODULE LOG_MODULE_OTHER
#endif

/* What a line is about; all members may be empty. NULL means the process. */
struct log_subject {
	struct span request_id;
	struct span principal;
	struct span trace_id;
	const char *step;
};

/* Of every module. */
void log_set_level(enum log_level level);
void log_set_module_level(enum log_module module, enum log_level level);
/* LOG_MODULE__MAX and LOG_DEBUG + 1 when there is none of that name. */
enum log_module log_module_parse(struct span name);
enum log_level log_level_parse(struct span name);
void log_set_format(enum log_format format);
/* A finished line with its newline, not redacted any more: for logs in a form of their own. */
void log_put_line(struct span line);
/* The same for what must not take the log's room: false, and not counted here, when the queue is more than half full. */
bool log_put_spare_line(struct span line);
/* A line could not be made. */
void log_count_dropped(void);
/* Starts the writer thread; false when it cannot (the log then stays direct). */
bool log_start(void);
/* Writes out what is queued and stops the thread. */
void log_stop(void);
/* Lines dropped so far because the queue was full. */
uint64_t log_dropped(void);

/* A line of that module; the four below are for the module that is being compiled. */
void log_put(enum log_module module, enum log_level level, const struct log_subject *about,
	const char *fmt, ...) PRINTF_LIKE(4, 5);
#define log_error(about, ...) log_put(NOMOS_LOG_MODULE, LOG_ERROR, (about), __VA_ARGS__)
#define log_warn(about, ...) log_put(NOMOS_LOG_MODULE, LOG_WARN, (about), __VA_ARGS__)
#define log_info(about, ...) log_put(NOMOS_LOG_MODULE, LOG_INFO, (about), __VA_ARGS__)
#define log_debug(about, ...) log_put(NOMOS_LOG_MODULE, LOG_DEBUG, (about), __VA_ARGS__)
/* Command-line "[OK]" label; the level of INFO. */
void log_ok(const char *fmt, ...) PRINTF_LIKE(1, 2);

/*
 * For lines that can repeat quickly: true when the line may be written now; *dropped then says how
 * many were held back since the last one. Zero-initialised static per call site; at most one line
 * per second.
 */
struct log_limiter {
	int64_t next_mono_ns;
	uint64_t held;
};
bool log_limit(struct log_limiter *l, uint64_t *dropped);

#endif
