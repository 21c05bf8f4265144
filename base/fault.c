/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault points of test builds. Must never be part of another build, and never lock: a lock here
 * would order threads that nothing else orders, and hide races from the sanitizer.
 */
#include "base/fault.h"

#if NOMOS_FAULT_POINTS

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/must.h"
#include "base/parse.h"
#include "base/span.h"

#define RULES_MAX 8

enum fault_action { ACT_KILL, ACT_STOP, ACT_FAIL };

struct rule {
	enum fault_point at;
	bool is_after;
	uint64_t first;
	uint64_t last;
	enum fault_action action;
	int errnum;
};

static const char *const names[FAULT_AT__MAX] = {
#define X(id, name) [FAULT_AT_##id] = name,
#include "base/fault_tbl.h"
#undef X
};

static const struct {
	const char *name;
	int errnum;
} errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
	{"EMFILE", EMFILE}, {"EACCES", EACCES}, {"EAGAIN", EAGAIN}};

static struct rule rules[RULES_MAX];
static _Atomic size_t n_rules; /* released after the rules are written */
static _Atomic uint64_t counts[FAULT_AT__MAX][2];
static _Atomic(fault_hook_fn) hook;
static pthread_once_t environment = PTHREAD_ONCE_INIT;
static const char *gate;
static int log_fd = -1;

static bool
parse_point(struct span name, struct rule *r)
{
	for (int i = 0; i < FAULT_AT__MAX; i++) {
		size_t n = strlen(names[i]);
		if (name.n <= n || memcmp(name.p, names[i], n) != 0)
			continue;
		struct span moment = span_from(name, n);
		r->at = (enum fault_point)i;
		r->is_after = span_eq_cstr(moment, ".after");
		if (r->is_after || span_eq_cstr(moment, ".before"))
			return true;
	}
	return false;
}

static bool
parse_times(struct span text, struct rule *r)
{
	size_t dash = span_find(text, '-');

	if (!parse_uint(span_of(text.p, dash), UINT32_MAX, &r->first))
		return false;
	r->last = r->first;
	if (dash == text.n)
		return true;
	r->last = UINT64_MAX;
	return dash + 1 == text.n || parse_uint(span_from(text, dash + 1), UINT32_MAX, &r->last);
}

static bool
parse_action(struct span text, struct rule *r)
{
	r->action = span_eq_cstr(text, "kill") ? ACT_KILL : ACT_STOP;
	if (r->action == ACT_KILL || span_eq_cstr(text, "stop"))
		return true;
	r->action = ACT_FAIL;
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		size_t n = strlen("error=");
		r->errnum = errors[i].errnum;
		if (text.n > n && memcmp(text.p, "error=", n) == 0 &&
			span_eq_cstr(span_from(text, n), errors[i].name))
			return true;
	}
	return false;
}

static bool
parse_rule(struct span text, struct rule *r)
{
	size_t first = span_find(text, ':');
	if (first == text.n)
		return false;
	struct span rest = span_from(text, first + 1);
	size_t second = span_find(rest, ':');

	return second < rest.n && parse_point(span_of(text.p, first), r) &&
	       parse_times(span_of(rest.p, second), r) &&
	       parse_action(span_from(rest, second + 1), r);
}

static bool
parse_rules(const char *text)
{
	struct span left = span_cstr(text);
	size_t n = 0;

	atomic_store_explicit(&n_rules, 0, memory_order_release);
	while (left.n > 0) {
		size_t comma = span_find(left, ',');
		if (n == RULES_MAX || !parse_rule(span_of(left.p, comma), &rules[n]))
			return false;
		n++;
		left = span_from(left, comma < left.n ? comma + 1 : comma);
	}
	atomic_store_explicit(&n_rules, n, memory_order_release);
	return true;
}

static void
read_environment(void)
{
	const char *text = getenv("NOMOS_FAULT");
	const char *log = getenv("NOMOS_FAULT_LOG");

	gate = getenv("NOMOS_FAULT_WHILE");
	if (log != NULL)
		log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (text != NULL)
		MUST(parse_rules(
			text)); /* a test that asks for nothing that exists must not pass */
}

bool
fault_is_asked_for(void)
{
	MUST(pthread_once(&environment, read_environment) == 0);
	return log_fd >= 0 || atomic_load_explicit(&n_rules, memory_order_acquire) > 0;
}

static void
note(enum fault_point at, bool is_after)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s.%s\n", names[at], is_after ? "after" : "before");
	ssize_t done = write(log_fd, line, (size_t)n);

	(void)done; /* the test finds that the line is not there */
}

/* True: the call is to fail. */
static bool
act(const struct rule *r)
{
	switch (r->action) {
	case ACT_KILL:
		(void)raise(SIGKILL);
		return false;
	case ACT_STOP:
		(void)raise(
			SIGSTOP); /* to this thread, which then stops here and not a little later */
		return false;
	case ACT_FAIL:
		errno = r->errnum;
		return true;
	}
	UNREACHABLE("enum fault_action");
}

bool
fault_reach(enum fault_point at, bool is_after)
{
	int errnum = errno;
	bool fails = false;
	fault_hook_fn fn = atomic_load_explicit(&hook, memory_order_acquire);

	MUST(pthread_once(&environment, read_environment) == 0);
	uint64_t n = 1 + atomic_fetch_add_explicit(
				 &counts[at][is_after ? 1 : 0], 1, memory_order_relaxed);
	if (fn != NULL)
		fn(at, is_after);
	if (log_fd >= 0)
		note(at, is_after);
	size_t n_now = atomic_load_explicit(&n_rules, memory_order_acquire);
	for (size_t i = 0; i < n_now; i++) {
		const struct rule *r = &rules[i];
		if (r->at != at || r->is_after != is_after || n < r->first || n > r->last ||
			(r->action != ACT_STOP && gate != NULL && access(gate, F_OK) != 0))
			continue;
		fails = act(r) || fails;
		errnum = fails ? errno : errnum;
	}
	errno = errnum; /* a point that does nothing leaves nothing behind */
	return fails;
}

enum err
fault_fail(enum fault_point at, struct errinfo *ei)
{
	return ERR_ERRNO(ei, ERR_IO, errno, "%s", names[at]);
}

enum err
fault_finish(enum fault_point at, enum err rc, struct errinfo *ei)
{
	return rc == OK && fault_reach(at, true) ? fault_fail(at, ei) : rc;
}

bool
fault_arm(const char *text)
{
	MUST(pthread_once(&environment, read_environment) == 0);
	for (size_t i = 0; i < FAULT_AT__MAX; i++) {
		atomic_store_explicit(&counts[i][0], 0, memory_order_relaxed);
		atomic_store_explicit(&counts[i][1], 0, memory_order_relaxed);
	}
	return parse_rules(text != NULL ? text : "");
}

uint64_t
fault_count(enum fault_point at, bool is_after)
{
	return atomic_load_explicit(&counts[at][is_after ? 1 : 0], memory_order_relaxed);
}

void
fault_set_hook(fault_hook_fn fn)
{
	atomic_store_explicit(&hook, fn, memory_order_release);
}

#endif
