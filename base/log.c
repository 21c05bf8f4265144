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
#include "base/must.h"

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

static const char *const module_names[LOG_MODULE__MAX] = {
#define X(id, name) [id] = name,
#include "base/log_module_tbl.h"
#undef X
};

static atomic_int max_levels[LOG_MODULE__MAX] = {
#define X(id, name) [id] = LOG_INFO,
#include "base/log_module_tbl.h"
#undef X
};
static atomic_int format = LOG_JSON;
static atomic_bool has_colour;
static pthread_mutex_t limiter_mutex = PTHREAD_MUTEX_INITIALIZER; /* guards every log_limiter */

void
log_set_level(enum log_level level)
{
	for (int m = 0; m < LOG_MODULE__MAX; m++)
		log_set_module_level((enum log_module)m, level);
}

void
log_set_module_level(enum log_module module, enum log_level level)
{
	MUST((unsigned)module < LOG_MODULE__MAX);
	atomic_store_explicit(&max_levels[module], (int)level, memory_order_relaxed);
}

enum log_module
log_module_parse(struct span name)
{
	enum log_module m = 0;

	while (m < LOG_MODULE__MAX && !span_eq_cstr(name, module_names[m]))
		m++;
	return m;
}

enum log_level
log_level_parse(struct span name)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	enum log_level l = LOG_ERROR;

	while (l <= LOG_DEBUG && !span_eq_cstr(name, names[l]))
		l++;
	return l;
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
build(const struct label *label, const char *module, const struct log_subject *about,
	struct span text, struct buf *out)
{
	bool is_coloured = atomic_load_explicit(&has_colour, memory_order_relaxed);
	struct log_line line = {
		label->text, is_coloured ? label->colour : NULL, module, about, text};

	if (atomic_load_explicit(&format, memory_order_relaxed) == LOG_TEXT)
		return log_line_text(&line, out);
	return log_line_json(&line, out);
}

static void put_formatted(const struct label *label, const char *module,
	const struct log_subject *about, const char *fmt, va_list ap) PRINTF_LIKE(4, 0);

static void
put_formatted(const struct label *label, const char *module, const struct log_subject *about,
	const char *fmt, va_list ap)
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
	if (build(label, module, about, buf_span(&text), &line))
		log_queue_put(buf_span(&line));
	else
		log_queue_count_dropped();
	buf_fini(&line);
	buf_fini(&text);
}

static bool
is_wanted(enum log_module module, enum log_level level)
{
	return (int)level <= atomic_load_explicit(&max_levels[module], memory_order_relaxed);
}

void
log_put(enum log_module module, enum log_level level, const struct log_subject *about,
	const char *fmt, ...)
{
	va_list ap;

	if (!is_wanted(module, level))
		return;
	va_start(ap, fmt);
	put_formatted(&labels[level], module_names[module], about, fmt, ap);
	va_end(ap);
}

void
log_ok(const char *fmt, ...)
{
	va_list ap;

	if (!is_wanted(LOG_MODULE_CLI, LOG_INFO))
		return;
	va_start(ap, fmt);
	put_formatted(&ok_label, NULL, NULL, fmt, ap);
	va_end(ap);
}

static bool
build_lost_line(uint64_t n_lost, struct buf *out)
{
	struct buf text;

	buf_init(&text, BUF_CAP_LOG_LINE);
	buf_add_uint(&text, n_lost);
	BUF_ADD_LIT(&text, " log lines were dropped");
	bool is_built = build(&labels[LOG_WARN], "base", NULL, buf_span(&text), out);
	buf_fini(&text);
	return is_built;
}

void
log_put_line(struct span line)
{
	log_queue_put(line);
}

bool
log_put_spare_line(struct span line)
{
	return log_queue_put_spare(line);
}

void
log_count_dropped(void)
{
	log_queue_count_dropped();
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
