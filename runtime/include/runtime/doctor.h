/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks before a start (nomos-mcp-cli.md 2; decisions 45), measured on this host as this
 * user. Nothing is changed by them: no file is made or written, no lock is taken, and an address
 * is bound only to be let go at once. The same host and files give the same report. A look that
 * does not end, on a mount whose server is gone, fails after some seconds, and the report comes all
 * the same. Blocking; one thread, never a loop.
 */
#ifndef RUNTIME_DOCTOR_H
#define RUNTIME_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct audit_section;
struct buf;
struct gateway_section;
struct ledger_section;
struct pipeline_options;
struct telemetry_section;

struct doctor_input {
	const char *config_path; /* as given; NULL or "": nobody gave one */
	const char
		*config_error; /* why it does not load; NULL: it did, the sections below are set */
	size_t n_file_secrets; /* secrets in the file itself, not from the environment */
	const struct gateway_section *gateway;
	const struct ledger_section *ledger;
	const struct audit_section *audit;
	const struct telemetry_section *telemetry; /* NULL: none is looked at */
	const struct pipeline_options *pipeline;
	bool is_deep; /* read the whole chain too */
	/* Asked by the gateway itself: nothing opens the ledger's files, whose locks it would lose with that, nor its address. */
	bool is_running;
	/* Comma lists of ids, "strong.*" for all that begin so: only these run (empty: all), these do not. */
	struct span only;
	struct span skip;
	/* Before the paths of the host's own files; NULL: none, as everywhere but in tests. */
	const char *root;
	/* Called once when nothing uses what is above any more: on the return, or later and on another thread when a look did not end. NULL: it stays. */
	void (*release)(void *arg);
	void *release_arg;
};

struct doctor_check {
	const char *id;      /* "policy.bundle_parses" */
	bool is_ok;          /* PASS or FAIL */
	bool is_advice;      /* passes, but there is something to do: "advice: ..." */
	const char *message; /* redacted, as the hint is */
	const char *hint;    /* what was measured, what to do; NULL: nothing to add */
};

struct doctor_report {
	struct arena *arena;               /* holds all of it */
	const struct doctor_check *checks; /* sorted by id */
	size_t n_checks;
	bool is_ready; /* every check passed */
	/* "BEST_EFFORT" ...; "NONE" when the configuration does not load. Of one that comes to STRONG it is "GUARDED" while a strong check fails. */
	const char *assurance;
	const char *policy_hash;  /* "" when no policy loads */
	struct span sources_json; /* as policy_get_sources_json */
	struct span inputs_json;
};

/* Fills *out, to be given to doctor_report_fini in any case. Only ERR_NOMEM: what is wrong on
 * the host is in the report. */
MUSTCHECK enum err doctor_run(
	const struct doctor_input *in, struct doctor_report *out, struct errinfo *ei);
void doctor_report_fini(struct doctor_report *report);
/* Whether a look that did not end is still at work in this process: handlers at exit would take down what it uses. */
bool doctor_has_left(void);

/* Whether each word of a comma list as above is the id of some check, or the beginning of some; else *unknown is the first that is not. */
bool doctor_knows(struct span list, struct span *unknown);
/* Every check there is, as a table in Markdown: when it is looked at, when it passes, what to do. */
void doctor_list(struct buf *out);

#endif
