/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The structured log: levels, formats and the limiter; log_line.c makes the text, log_queue.c
 * brings it to stderr. Must never fail or block its caller. Any thread.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#include "log_line.h"
#include "log_queue.h"

/* What is formatted before the redactor sees it; a longer text is left out, for a cut could
 * halve a secret. */
#define FORMATTED_MAX ((size_t)64 * 1024)

struct label {
	const char *text;
	const char *colour;
};

static const struct label labels[] = {
	[LOG_ERROR] = {"ERROR", "\033[1;31m"},
	[LOG_WARN] = {"WARN", "\033[1;33m"},
	[LOG_INFO] = {"INFO", "\033[1;36m"},
	[LOG_DEBUG] = {"DEBUG", "\033[1;36m"},
};
static const struct label ok_label = {"OK", "\033[1;32m"};

static atomic_int max_level = LOG_INFO;
static atomic_int format = LOG_JSON;
static atomic_bool has_colour;
static pthread_mutex_t limiter_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards every log_limiter */

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

static bool
wants_colour(void)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");
	struct stat st;

	if (no_color != NULL && no_color[0] != '\0')
		return false;
	if (term != NULL && strcasecmp(term, "dumb") == 0)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && S_ISCHR(st.st_mode);
}

void
log_set_format(enum log_format f)
{
	atomic_store_explicit(&has_colour, wants_colour(), memory_order_relaxed);
	atomic_store_explicit(&format, (int)f, memory_order_relaxed);
}

/* The line in the format of the day; out is a buf of BUF_CAP_LOG_LINE. */
static bool
build(const struct label *label, const struct log_subject *about, struct span text, struct buf *out)
{
	bool is_coloured = atomic_load_explicit(&has_colour, memory_order_relaxed);
	struct log_line line = {label->text, is_coloured ? label->colour : NULL, about, text};

	if (atomic_load_explicit(&format, memory_order_relaxed) == LOG_TEXT)
		return log_line_text(&line, out);
	return log_line_json(&line, out);
}

static void put_formatted(const struct label *label, const struct log_subject *about,
	const char *fmt, va_list ap) PRINTF_LIKE(3, 0);

static void
put_formatted(
	const struct label *label, const struct log_subject *about, const char *fmt, va_list ap)
{
	struct buf text;
	struct buf line;

	buf_init(&text, FORMATTED_MAX);
	buf_init(&line, BUF_CAP_LOG_LINE);
	buf_vprintf(&text, fmt, ap);
	if (buf_failed(&text)) {
		buf_reset(&text);
		BUF_ADD_LIT(&text, "(a text too long for the log was left out)");
	}
	if (build(label, about, buf_span(&text), &line))
		log_queue_put(buf_span(&line));
	else
		log_queue_count_dropped();
	buf_fini(&line);
	buf_fini(&text);
}

static bool
is_wanted(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

#define PUT(level, label, about, fmt)                                                              \
	do {                                                                                       \
		va_list ap;                                                                        \
		if (is_wanted(level)) {                                                            \
			va_start(ap, fmt);                                                         \
			put_formatted((label), (about), (fmt), ap);                                \
			va_end(ap);                                                                \
		}                                                                                  \
	} while (0)

void
log_error(const struct log_subject *about, const char *fmt, ...)
{
	PUT(LOG_ERROR, &labels[LOG_ERROR], about, fmt);
}

void
log_warn(const struct log_subject *about, const char *fmt, ...)
{
	PUT(LOG_WARN, &labels[LOG_WARN], about, fmt);
}

void
log_info(const struct log_subject *about, const char *fmt, ...)
{
	PUT(LOG_INFO, &labels[LOG_INFO], about, fmt);
}

void
log_debug(const struct log_subject *about, const char *fmt, ...)
{
	PUT(LOG_DEBUG, &labels[LOG_DEBUG], about, fmt);
}

void
log_ok(const char *fmt, ...)
{
	PUT(LOG_INFO, &ok_label, NULL, fmt);
}

static bool
build_lost_line(uint64_t n_lost, struct buf *out)
{
	struct buf text;

	buf_init(&text, BUF_CAP_LOG_LINE);
	buf_add_uint(&text, n_lost);
	BUF_ADD_LIT(&text, " log lines were dropped");
	bool is_built = build(&labels[LOG_WARN], NULL, buf_span(&text), out);
	buf_fini(&text);
	return is_built;
}

bool
log_start(void)
{
	return log_queue_start(build_lost_line);
}

void
log_stop(void)
{
	log_queue_stop();
}

uint64_t
log_dropped(void)
{
	return log_queue_dropped();
}

bool
log_limit(struct log_limiter *l, uint64_t *dropped)
{
	int64_t now = clock_mono_ns();

	*dropped = 0;
	pthread_mutex_lock(&limiter_mutex);
	bool may_write = now >= l->next_mono_ns;
	if (may_write) {
		*dropped = l->held;
		l->held = 0;
		l->next_mono_ns = now + NS_PER_SEC;
	} else {
		l->held++;
	}
	pthread_mutex_unlock(&limiter_mutex);
	return may_write;
}
