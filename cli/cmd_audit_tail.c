/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos audit tail: the last records, then new ones as a gateway writes them. Between two looks
 * nothing is held that a gateway could wait for; while none runs, the files are only looked at.
 * Ends on a signal or when stdout closes. One thread.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "base/log.h"
#include "base/parse.h"
#include "cmd_audit.h"

#define LOOK_MS 250
#define LAST_DEFAULT 10

static volatile sig_atomic_t is_stopped;

struct tail {
	const char *path;
	bool is_json;
	bool has_colour;
	bool is_broken;         /* stdout takes no more */
	struct source *source;  /* NULL while there is nothing new to read */
	struct chain_head last; /* shown last */
	uint64_t skip;          /* of an export: lines before the first that is shown */
	uint64_t n_seen;
	bool is_same_chain;    /* of is_known */
	struct stat looked_at; /* the file when it was read last */
};

static void
stop(int signal_number)
{
	(void)signal_number;
	is_stopped = 1;
}

static bool
show(const struct source_record *r, void *arg)
{
	struct tail *t = arg;

	t->n_seen++;
	if (is_stopped != 0)
		return false;
	if (t->n_seen <= t->skip || r->is_malformed)
		return true;
	t->is_broken = !audit_print_record(r, t->is_json, t->has_colour);
	t->last.seq = r->seq;
	snprintf(t->last.hash, sizeof(t->last.hash), "%.*s", SPAN_ARG(r->hash));
	return !t->is_broken;
}

static enum err
show_new(struct tail *t, struct errinfo *ei)
{
	enum err rc = source_each(t->source, t->last.seq, show, t, ei);

	t->is_broken = t->is_broken || fflush(stdout) != 0;
	return rc;
}

static bool
count(const struct source_record *r, void *arg)
{
	(void)r;
	(*(uint64_t *)arg)++;
	return is_stopped == 0;
}

static enum err
show_last(struct tail *t, uint64_t n_last, struct errinfo *ei)
{
	uint64_t n = 0;

	if (source_get_kind(t->source) == SOURCE_LEDGER) {
		uint64_t head = source_get_head(t->source).seq;
		t->last.seq = head > n_last ? head - n_last : 0;
		return show_new(t, ei);
	}
	enum err rc = source_each(t->source, 0, count, &n, ei);
	t->skip = n > n_last ? n - n_last : 0;
	return rc == OK ? show_new(t, ei) : rc;
}

static bool
is_known(const struct source_record *r, void *arg)
{
	struct tail *t = arg;

	t->is_same_chain = r->seq == t->last.seq && span_eq_cstr(r->hash, t->last.hash);
	return false;
}

/* Opens what is at path now; when it does not hold what was shown last, it is another chain, shown
 * from its start. */
static enum err
reopen(struct tail *t, struct errinfo *ei)
{
	enum err rc = source_open(t->path, SOURCE_SHARED, &t->source, ei);

	if (rc == OK && source_get_kind(t->source) != SOURCE_LEDGER)
		rc = ERR(ei, ERR_INVALID, "%s is not a ledger any more", t->path);
	if (rc != OK || t->last.seq == 0 || t->last.hash[0] == '\0')
		return rc;
	t->is_same_chain = false;
	rc = source_each(t->source, t->last.seq - 1, is_known, t, ei);
	if (rc == OK && !t->is_same_chain) {
		log_info(NULL, "%s is another chain now", t->path);
		t->last = (struct chain_head){0};
	}
	return rc;
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* One look: shows what is new. */
static enum err
look(struct tail *t, struct errinfo *ei)
{
	struct stat now;
	bool is_live = false;

	if (stat(t->path, &now) != 0) {
		source_free(&t->source);
		t->looked_at = (struct stat){0};
		return OK; /* moved away: a new one may come */
	}
	enum err rc = source_find_writer(t->path, &is_live, ei);
	if (rc != OK)
		return rc;
	if (t->source != NULL && !is_same_file(&now, &t->looked_at))
		source_free(&t->source);
	bool has_changed = now.st_size != t->looked_at.st_size ||
			   !is_same_file(&now, &t->looked_at) ||
			   now.st_mtim.tv_sec != t->looked_at.st_mtim.tv_sec ||
			   now.st_mtim.tv_nsec != t->looked_at.st_mtim.tv_nsec;
	if (t->source == NULL && !is_live && !has_changed)
		return OK;
	t->looked_at = now;
	rc = t->source == NULL ? reopen(t, ei) : source_refresh(t->source, ei);
	if (rc == OK)
		rc = show_new(t, ei);
	/* A file that is being made, or put in place, is looked at again. */
	if (rc == ERR_NOT_FOUND || rc == ERR_INVALID || rc == ERR_BUSY) {
		source_free(&t->source);
		t->looked_at = (struct stat){0};
		return OK;
	}
	/* A gateway that stops wants to be the last on its files. */
	if (!is_live || t->source == NULL || !source_is_live(t->source))
		source_free(&t->source);
	return rc;
}

static enum err
follow(struct tail *t, struct errinfo *ei)
{
	struct sigaction action = {.sa_handler = stop};
	struct pollfd out = {.fd = STDOUT_FILENO};
	enum err rc = OK;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	while (rc == OK && is_stopped == 0 && !t->is_broken) {
		/* Without events it waits for the time, a signal, or the end of whoever reads. */
		int n = poll(&out, 1, LOOK_MS);
		if (n > 0 && (out.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0)
			break;
		rc = look(t, ei);
	}
	return rc;
}

static int
tail_file(struct tail *t, uint64_t n_last, bool is_followed)
{
	struct errinfo ei;
	enum err rc = OK;

	t->has_colour = command_has_colour(STDOUT_FILENO);
	(void)stat(t->path, &t->looked_at);
	rc = source_open(t->path, SOURCE_SHARED, &t->source, &ei);
	if (rc == OK && is_followed && source_get_kind(t->source) == SOURCE_EXPORT)
		rc = ERR(&ei, ERR_INVALID, "an export does not grow: -f is for ledgers");
	if (rc == OK)
		rc = show_last(t, n_last, &ei);
	if (rc == OK && !source_is_live(t->source))
		source_free(&t->source);
	if (rc == OK && is_followed)
		rc = follow(t, &ei);
	source_free(&t->source);
	if (rc != OK)
		return command_fail("%s", ei.msg);
	return is_followed && t->is_broken ? EXIT_DONE : audit_finish_stdout();
}

int
audit_run_tail(const struct command *self, int argc, char **argv)
{
	struct audit_file f = {.config = NULL};
	struct tail t = {.path = NULL};
	bool is_followed = false;
	const char *n_last = NULL;
	const char *format = NULL;
	const struct flag flags[] = {
		{"follow", "f", FLAG_SWITCH, &is_followed, NULL, NULL, "go on as records come"},
		{"lines", "n", FLAG_TEXT, &n_last, "N", NULL, "begin with the last N records; 10"},
		{"format", NULL, FLAG_TEXT, &format, "FORMAT", NULL, "text or json"},
		AUDIT_CONFIG_FLAG(&f),
	};
	const char *arg = NULL;
	uint64_t n = LAST_DEFAULT;
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, &arg, 1, &status))
		return status;
	if (n_last != NULL && !parse_uint(span_cstr(n_last), INT64_MAX, &n)) {
		log_error(NULL, "-n is a number");
		return EXIT_USAGE;
	}
	status = EXIT_USAGE;
	if (audit_parse_format(format, &t.is_json) && audit_file_find(&f, self, arg, &status)) {
		t.path = f.path;
		status = tail_file(&t, n, is_followed);
	}
	audit_file_fini(&f);
	return status;
}
