/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Two reports are compared check by check. On a terminal the screen is drawn anew when something changed, with what fails on it and the
 * last changes below; elsewhere each change is a line (or a JSON object) behind the first report. Two looks are never further apart
 * than the interval and the time of one look, and nothing is kept of looks before the last one.
 */
#include "doctor_watch.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "command.h"
#include "doctor_text.h"
#include "examination.h"
#include "runtime/doctor.h"
#include "stream.h"

/* A signal that comes just before the wait is seen so late at most. */
#define SLICE_NS (250 * NS_PER_MS)
#define CLEAR_SCREEN "\033[H\033[2J\033[3J"
#define LAST_LINES 8
#define LINE_BYTES_MAX 400

static volatile sig_atomic_t is_stopped;

struct watch {
	const struct doctor_watch *o;
	struct doctor_report before; /* empty at first */
	bool has_before;
	bool is_screen; /* a terminal that is drawn anew */
	bool has_colour;
	bool is_broken; /* stdout takes no more */
	char stamp[CLOCK_TEXT_MAX];
	struct buf lines; /* of this look */
	char last[LAST_LINES][LINE_BYTES_MAX];
	size_t n_last; /* ever; the newest is n_last - 1 */
};

static void
stop(int signal_number)
{
	(void)signal_number;
	is_stopped = 1;
}

static const char *
status_of(const struct doctor_check *check)
{
	return check == NULL ? "GONE" : check->is_ok ? "PASS" : "FAIL";
}

static void
add_member(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, ",\"%s\":", name);
	json_quote(b, span_cstr(value));
}

static void
add_json(struct watch *w, const struct doctor_check *before, const struct doctor_check *after)
{
	const struct doctor_check *one = after != NULL ? after : before;

	buf_printf(&w->lines, "{\"timestamp\":\"%s\"", w->stamp);
	add_member(&w->lines, "id", one->id);
	add_member(&w->lines, "status", status_of(after));
	if (before != NULL)
		add_member(&w->lines, "before", status_of(before));
	if (after != NULL)
		add_member(&w->lines, "message", after->message);
	if (after != NULL && after->hint != NULL)
		add_member(&w->lines, "hint", after->hint);
	BUF_ADD_LIT(&w->lines, "}\n");
}

/* "2026-01-31T00:00:00Z [FAIL] policy.bundle_exists: policy bundle failed; hint" */
static void
add_text(struct watch *w, const struct doctor_check *before, const struct doctor_check *after)
{
	bool says_hint =
		after != NULL && after->hint != NULL && (!after->is_ok || after->is_advice);

	buf_printf(&w->lines, "%s ", w->stamp);
	if (after == NULL) {
		buf_printf(&w->lines, "[GONE] %s\n", before->id);
		return;
	}
	doctor_text_label(after, w->has_colour, &w->lines);
	buf_printf(&w->lines, "%s: ", after->id);
	stream_add_visible(&w->lines, span_cstr(after->message));
	if (says_hint) {
		BUF_ADD_LIT(&w->lines, "; ");
		stream_add_visible(&w->lines, span_cstr(after->hint));
	}
	buf_add_char(&w->lines, '\n');
}

static void
keep_last(struct watch *w, size_t begin)
{
	struct span line = span_trim(span_from(buf_span(&w->lines), begin));

	snprintf(w->last[w->n_last++ % LAST_LINES], LINE_BYTES_MAX, "%.*s", SPAN_ARG(line));
}

static void
add_change(struct watch *w, const struct doctor_check *before, const struct doctor_check *after)
{
	size_t begin = w->lines.n;

	if (w->o->is_json) {
		add_json(w, before, after);
		return;
	}
	add_text(w, before, after);
	if (w->has_before)
		keep_last(w, begin);
}

static bool
is_same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* How much is free, or how many hours are left, changes all the time: of a check that passes it is no news. */
static bool
is_same(const struct doctor_check *a, const struct doctor_check *b)
{
	if (a->is_ok && b->is_ok && !a->is_advice && !b->is_advice)
		return true;
	return a->is_ok == b->is_ok && a->is_advice == b->is_advice &&
	       is_same_text(a->message, b->message) && is_same_text(a->hint, b->hint);
}

/* Both are sorted by id. */
static void
compare(struct watch *w, const struct doctor_report *now)
{
	const struct doctor_report *old = &w->before;
	size_t i = 0;
	size_t k = 0;

	while (i < old->n_checks || k < now->n_checks) {
		const struct doctor_check *a = i < old->n_checks ? &old->checks[i] : NULL;
		const struct doctor_check *b = k < now->n_checks ? &now->checks[k] : NULL;
		int order = a == NULL ? 1 : b == NULL ? -1 : strcmp(a->id, b->id);

		if (order < 0)
			add_change(w, a, NULL);
		else if (order > 0)
			add_change(w, NULL, b);
		else if (!is_same(a, b))
			add_change(w, a, b);
		i += order <= 0 ? 1 : 0;
		k += order >= 0 ? 1 : 0;
	}
}

static void
add_result(struct watch *w, const struct doctor_report *now)
{
	size_t begin = w->lines.n;
	bool is_news = !w->has_before || w->before.is_ready != now->is_ready ||
		       strcmp(w->before.assurance, now->assurance) != 0;

	if (!is_news)
		return;
	if (w->o->is_json) {
		buf_printf(&w->lines,
			"{\"timestamp\":\"%s\",\"overall_status\":\"%s\",\"assurance_level\":\"%"
			"s\"}\n",
			w->stamp, now->is_ready ? "READY" : "NOT_READY", now->assurance);
		return;
	}
	buf_printf(&w->lines, "%s ", w->stamp);
	doctor_text_result(now, w->has_colour, &w->lines);
	if (w->has_before)
		keep_last(w, begin);
}

static void
draw(struct watch *w, const struct doctor_report *now)
{
	struct buf screen;
	size_t n = w->n_last < LAST_LINES ? w->n_last : LAST_LINES;

	buf_init(&screen, BUF_CAP_REPLY);
	BUF_ADD_LIT(&screen, CLEAR_SCREEN);
	doctor_text_report(now, w->has_colour, true, &screen);
	if (n > 0)
		buf_add_char(&screen, '\n');
	for (size_t i = w->n_last - n; i < w->n_last; i++) {
		buf_add_cstr(&screen, w->last[i % LAST_LINES]);
		BUF_ADD_LIT(&screen, "\n");
	}
	buf_printf(&screen, "\nsince %s; Ctrl-C ends\n", w->stamp);
	w->is_broken = stream_print_buf(&screen) != EXIT_DONE;
	buf_fini(&screen);
}

static void
show(struct watch *w, const struct doctor_report *now)
{
	if (w->is_screen) {
		draw(w, now);
		return;
	}
	if (!w->has_before && !w->o->is_json) {
		buf_reset(&w->lines);
		doctor_text_report(now, w->has_colour, false, &w->lines);
	}
	w->is_broken = stream_print_buf(&w->lines) != EXIT_DONE;
}

/* One look. EXIT_USAGE: it could not be done. */
static int
look(struct watch *w)
{
	struct doctor_report now;
	struct errinfo ei;

	if (examination_run(w->o->examination, &now, &ei) != OK) {
		doctor_report_fini(&now);
		(void)command_fail("%s", ei.msg);
		return EXIT_USAGE;
	}
	clock_format(clock_wall_ns(), w->stamp);
	buf_reset(&w->lines);
	compare(w, &now);
	add_result(w, &now);
	if (w->lines.n > 0)
		show(w, &now);
	doctor_report_fini(&w->before);
	w->before = now;
	w->has_before = true;
	bool is_good = now.is_ready && now.n_checks > 0 &&
		       !(w->o->is_strict && doctor_text_count_advice(&now) > 0);
	return is_good ? EXIT_DONE : EXIT_FAILED;
}

/* Until it is time, a signal comes, or nobody reads any more. */
static void
wait_for(struct watch *w)
{
	struct pollfd out = {.fd = STDOUT_FILENO};
	int64_t end = clock_mono_ns() + w->o->interval_ns;

	while (is_stopped == 0 && !w->is_broken) {
		int64_t left = end - clock_mono_ns();
		if (left <= 0)
			return;
		int n = poll(&out, 1, (int)((left < SLICE_NS ? left : SLICE_NS) / NS_PER_MS) + 1);
		w->is_broken = n > 0 && (out.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
	}
}

int
doctor_watch_run(const struct doctor_watch *o)
{
	struct sigaction action = {.sa_handler = stop};
	struct watch w = {.o = o,
		.has_colour = !o->is_json && command_has_colour(STDOUT_FILENO),
		.is_screen = !o->is_json && command_has_colour(STDOUT_FILENO)};
	int status = EXIT_DONE;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	buf_init(&w.lines, BUF_CAP_REPLY);
	while (is_stopped == 0 && !w.is_broken && status != EXIT_USAGE) {
		status = look(&w);
		wait_for(&w);
	}
	buf_fini(&w.lines);
	doctor_report_fini(&w.before);
	return status;
}
