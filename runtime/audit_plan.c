/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * From the words of `audit.sink` and `audit.required` to a ledger with its sinks (nomos-http.md 3.2, 6.7; decisions 10, 21,
 * 22). The SQLite sink is the ledger itself; the others follow it.
 */
#include "runtime/options.h"

#include <unistd.h>

#include "audit/sink_file.h"
#include "audit/sink_stream.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "comma_list.h"
#include "config/load.h"
#include "net/http_client.h"
#include "outbound/notice.h"
#include "outbound/webhook.h"

#define SINK_FORMS "stdout, stderr, sqlite:PATH, file:PATH, webhook:URL"

/* "sqlite:PATH" and "sqlite://PATH"; false when word is neither. */
static bool
read_sqlite(struct span word, struct span *path)
{
	if (!span_starts(word, SPAN_LIT("sqlite:")))
		return false;
	*path = span_from(word, 7);
	if (span_starts(*path, SPAN_LIT("//")))
		*path = span_from(*path, 2);
	return true;
}

#define SINK_LIST_MAX 16384

/* "file:PATH" and "file://PATH"; false when word is neither. */
static bool
read_file(struct span word, struct span *path)
{
	if (!span_starts(word, SPAN_LIT("file:")))
		return false;
	*path = span_from(word, 5);
	if (span_starts(*path, SPAN_LIT("//")))
		*path = span_from(*path, 2);
	return true;
}

/* The list with the paths of files as a PATH row would hold them: they mean the same wherever it is read. */
static void
resolve_files(struct audit_section *audit, struct config_scope *scope)
{
	struct span list = audit->sink;
	struct span word;
	struct span path;
	struct buf text;
	bool has_file = false;

	buf_init(&text, SINK_LIST_MAX);
	while (comma_list_next(&list, &word)) {
		if (text.n > 0)
			buf_add_char(&text, ',');
		bool is_file = read_file(word, &path) && path.n > 0;
		has_file = has_file || is_file;
		if (is_file) {
			BUF_ADD_LIT(&text, "file:");
			word = config_resolve(scope, path);
		}
		buf_add_span(&text, word);
	}
	if (has_file && buf_failed(&text))
		config_fail(scope, "audit.sink", "the list is too long");
	else if (has_file)
		audit->sink = config_keep(scope, buf_span(&text));
	buf_fini(&text);
}

void
runtime_check_options(struct ledger_section *ledger, struct audit_section *audit, bool is_stateless,
	struct config_scope *scope)
{
	struct audit_plan plan;
	struct errinfo ei;
	struct span list = audit->sink;
	struct span word;
	struct span path;

	resolve_files(audit, scope);
	while (comma_list_next(&list, &word)) {
		if (!read_sqlite(word, &path) || path.n == 0)
			continue;
		if (is_stateless)
			config_fail(scope, "audit.sink",
				"sqlite audit sink is not allowed in runtime.stateless_mode");
		path = config_resolve(scope, path);
		if (ledger->path.n > 0 && !span_eq(ledger->path, path))
			config_fail(scope, "audit.sink",
				"names another ledger than ledger.path; there is one ledger");
		ledger->path = path;
	}
	if (ledger->path.n == 0 && !is_stateless)
		ledger->path = config_resolve(scope, SPAN_LIT(LEDGER_DEFAULT_NAME));
	if (audit_plan_parse(ledger, audit, is_stateless, &plan, &ei) != OK)
		config_fail(scope, "audit.sink", "%s", ei.msg);
}

static enum err
add_sink(struct audit_plan *plan, enum audit_sink_kind kind, struct span url, struct errinfo *ei)
{
	if (plan->n_sinks == AUDIT_SINKS_MAX)
		return ERR(ei, ERR_INVALID, "more than %d audit sinks", AUDIT_SINKS_MAX);
	for (size_t i = 0; i < plan->n_sinks; i++) {
		if (plan->sinks[i].kind == kind && span_eq(plan->sinks[i].url, url))
			return ERR(ei, ERR_INVALID, "the same audit sink twice");
	}
	plan->sinks[plan->n_sinks].kind = kind;
	plan->sinks[plan->n_sinks].url = url;
	plan->n_sinks++;
	return OK;
}

static enum err
read_sink(struct audit_plan *plan, struct span word, size_t nth, struct errinfo *ei)
{
	struct span path;
	size_t n_kind = span_find(word, ':');

	if (span_eq_cstr(word, "stdout"))
		return add_sink(plan, AUDIT_SINK_STDOUT, SPAN_NONE, ei);
	if (span_eq_cstr(word, "stderr"))
		return add_sink(plan, AUDIT_SINK_STDERR, SPAN_NONE, ei);
	if (read_sqlite(word, &path)) {
		if (path.n == 0)
			return ERR(ei, ERR_INVALID, "sqlite sink path is required");
		return OK;
	}
	if (read_file(word, &path)) {
		if (plan->is_stateless)
			return ERR(ei, ERR_INVALID,
				"file audit sink is not allowed in runtime.stateless_mode");
		return path.n > 0 ? add_sink(plan, AUDIT_SINK_FILE, path, ei)
				  : ERR(ei, ERR_INVALID, "file sink path is required");
	}
	if (span_starts(word, SPAN_LIT("webhook:"))) {
		struct span url = span_from(word, 8);
		enum err rc = http_client_check_url(url, ei);
		return rc == OK ? add_sink(plan, AUDIT_SINK_WEBHOOK, url, ei)
				: ERR_WRAP(ei, rc, "webhook");
	}
	/* What follows the colon may hold a secret; a word without one may be the rest of a URL with a comma. */
	if (n_kind == word.n)
		return ERR(ei, ERR_INVALID,
			"unsupported audit sink: word %zu of audit.sink (" SINK_FORMS ")", nth);
	return ERR(ei, ERR_INVALID, "unsupported audit sink \"%.*s\" (" SINK_FORMS ")",
		SPAN_ARG(span_of(word.p, n_kind)));
}

static const char *
sink_kind_name(enum audit_sink_kind kind)
{
	switch (kind) {
	case AUDIT_SINK_STDOUT:
		return "stdout";
	case AUDIT_SINK_STDERR:
		return "stderr";
	case AUDIT_SINK_FILE:
		return "file";
	case AUDIT_SINK_WEBHOOK:
		return "webhook";
	}
	return "";
}

static enum err
require_sink(struct audit_plan *plan, struct span word, struct errinfo *ei)
{
	bool is_found = false;

	if (span_eq_cstr(word, "ledger") || span_starts(word, SPAN_LIT("sqlite")))
		return OK;
	for (size_t i = 0; i < plan->n_sinks; i++) {
		if (!span_eq_cstr(word, sink_kind_name(plan->sinks[i].kind)))
			continue;
		plan->sinks[i].is_required = true;
		plan->required = LEDGER_REQUIRED_NAMED;
		is_found = true;
	}
	if (!is_found)
		return ERR(ei, ERR_INVALID, "audit.required: there is no sink \"%.*s\"",
			SPAN_ARG(word));
	return OK;
}

static enum err
read_required(struct audit_plan *plan, struct span list, struct errinfo *ei)
{
	struct span word;
	enum err rc = OK;

	plan->required = plan->is_stateless ? LEDGER_REQUIRED_ANY : LEDGER_REQUIRED_LEDGER;
	list = span_trim(list);
	if (span_eq_cstr(list, "any"))
		plan->required = LEDGER_REQUIRED_ANY;
	else if (span_eq_cstr(list, "all"))
		plan->required = LEDGER_REQUIRED_ALL;
	else {
		while (rc == OK && comma_list_next(&list, &word))
			rc = require_sink(plan, word, ei);
	}
	if (rc == OK && plan->required != LEDGER_REQUIRED_LEDGER && plan->n_sinks == 0)
		return ERR(ei, ERR_INVALID, "no valid audit sinks configured");
	return rc;
}

enum err
audit_plan_parse(const struct ledger_section *ledger, const struct audit_section *audit,
	bool is_stateless, struct audit_plan *out, struct errinfo *ei)
{
	struct span list = audit->sink;
	struct span word;
	size_t nth = 0;
	enum err rc = OK;

	*out = (struct audit_plan){.is_stateless = is_stateless,
		.ledger_path = ledger->path,
		.key_path = audit->checkpoint_key_path};
	while (rc == OK && comma_list_next(&list, &word))
		rc = read_sink(out, word, ++nth, ei);
	if (rc == OK)
		rc = read_required(out, audit->required, ei);
	return rc;
}

static const char *
path_or_null(struct span path)
{
	return path.n > 0 ? path.p : NULL;
}

static enum err
make_webhook(struct span url, const struct audit_webhook_section *o, struct sink **out,
	struct errinfo *ei)
{
	const struct webhook_options options = {
		.to = {url, o->secret, o->timeout_ms * NS_PER_MS, path_or_null(o->ca_file),
			path_or_null(o->cert_file), path_or_null(o->key_file)},
		.batch_max = (size_t)o->batch_max,
		.gzip = o->gzip,
		.retry_max_ns = o->retry_max_ms * NS_PER_MS,
	};

	return webhook_sink_new(&options, out, ei);
}

static enum err
make_file(struct span path, const struct audit_file_section *o, struct arena *a, struct sink **out,
	struct errinfo *ei)
{
	const struct sink_file_options options = {
		.path = arena_dup_cstr(a, path),
		.max_bytes = (uint64_t)o->max_bytes,
		.max_age_s = (uint64_t)o->max_age_hours * 3600,
		.keep = (uint32_t)o->keep,
	};

	return options.path != NULL ? sink_file_new(&options, out, ei)
				    : ERR(ei, ERR_NOMEM, "out of memory");
}

static enum err
make_sink(const struct audit_plan *plan, size_t i, const struct audit_section *audit,
	struct arena *a, struct sink **out, struct errinfo *ei)
{
	struct span to = plan->sinks[i].url;
	enum err rc = OK;

	switch (plan->sinks[i].kind) {
	case AUDIT_SINK_STDOUT:
		rc = sink_stream_new("stdout", STDOUT_FILENO, out, ei);
		break;
	case AUDIT_SINK_STDERR:
		rc = sink_stream_new("stderr", STDERR_FILENO, out, ei);
		break;
	case AUDIT_SINK_FILE:
		rc = make_file(to, &audit->file, a, out, ei);
		break;
	case AUDIT_SINK_WEBHOOK:
		rc = make_webhook(to, &audit->webhook, out, ei);
		break;
	}
	if (rc == OK) {
		(*out)->is_required = plan->sinks[i].is_required;
		(*out)->from_start = audit->from == AUDIT_FROM_START;
	}
	return rc;
}

static enum err
make_receiver(const struct approval_notify_section *o, struct sink **out, struct errinfo *ei)
{
	struct notice_options options = {
		.name = o->name,
		.kind = o->kind,
		.to = {o->url, o->secret, o->timeout_ms * NS_PER_MS, path_or_null(o->ca_file),
			path_or_null(o->cert_file), path_or_null(o->key_file)},
		.page = o->page,
	};
	enum err rc = notice_sink_new(&options, out, ei);

	return rc == OK ? OK : ERR_WRAP(ei, rc, "approvals.notify %.*s", SPAN_ARG(o->name));
}

enum err
audit_plan_build(const struct audit_plan *plan, const struct ledger_section *ledger,
	const struct audit_section *audit, const struct approvals_section *approvals,
	struct arena *a, struct ledger_options *out, struct errinfo *ei)
{
	/* Nobody is told of approvals that there cannot be. */
	size_t n_receivers = approvals->enabled && !plan->is_stateless ? approvals->notify.n : 0;
	struct sink **sinks =
		ARENA_ARRAY(a, struct sink *, AUDIT_SINKS_MAX + APPROVAL_RECEIVERS_MAX);
	enum err rc = OK;

	ledger_options_init(out);
	if (sinks == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	out->store = plan->is_stateless ? LEDGER_STORE_NONE : LEDGER_STORE_SQLITE;
	out->path = path_or_null(plan->ledger_path);
	out->key_path = path_or_null(plan->key_path);
	out->queue_max = (uint32_t)ledger->queue_max;
	out->checkpoint_every = (uint32_t)audit->checkpoint_every;
	out->sink_deadline_ms = (uint32_t)audit->required_deadline_ms;
	out->has_index = audit->index;
	out->retention.days = (uint32_t)audit->retention.days;
	out->retention.records = (uint64_t)audit->retention.records;
	out->retention.folder = path_or_null(audit->retention.archive);
	out->retention.segment_records = (uint32_t)audit->retention.segment_records;
	out->retention.look_ms = (uint32_t)audit->retention.look_ms;
	out->required = plan->required;
	out->sinks = sinks;
	while (rc == OK && out->n_sinks < plan->n_sinks) {
		rc = make_sink(plan, out->n_sinks, audit, a, &sinks[out->n_sinks], ei);
		if (rc == OK)
			out->n_sinks++;
	}
	for (size_t i = 0; rc == OK && i < n_receivers; i++) {
		rc = make_receiver(&approvals->notify.v[i], &sinks[out->n_sinks], ei);
		if (rc == OK)
			out->n_sinks++;
	}
	while (rc != OK && out->n_sinks > 0) {
		out->n_sinks--;
		sinks[out->n_sinks]->ops->free(sinks[out->n_sinks]);
	}
	return rc;
}
