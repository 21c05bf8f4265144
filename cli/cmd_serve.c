/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * nomos serve: the gateway in the foreground (nomos-mcp-cli.md 1.4). The configuration it started with stays in memory for as
 * long as it runs; a reload reads the file anew, compares, and hands a new snapshot to the runtime, with the configuration
 * it was made of.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/clock.h"
#include "base/redact.h"
#include "command.h"
#include "examination.h"
#include "gateway/gateway.h"
#include "options.h"
#include "pipeline/key_ring.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"
#include "policy_warnings.h"
#include "reload_preview.h"
#include "runtime/runtime.h"

struct serve_flags {
	const char *config;
	const char *bundle;
	const char *log_level;
	const char *log_format;
};

struct serve {
	struct serve_flags flags;
	struct key_ring *key_ring;    /* outlives every snapshot */
	struct loaded_config *config; /* of the start; a snapshot keeps the one it was made of */
};

static enum err
build_snapshot(const struct serve *s, const struct loaded_config *c, struct snapshot **out,
	struct errinfo *ei)
{
	struct pipeline_options options;

	loaded_config_pipeline(c, &options);
	options.key_ring = s->key_ring;
	enum err rc = snapshot_new(&options, out, ei);
	if (rc == OK)
		print_policy_warnings(snapshot_get_policy(*out));
	return rc;
}

static enum err
check_change(
	const struct loaded_config *before, const struct loaded_config *after, struct errinfo *ei)
{
	struct config_report report;

	return config_diff(&nomos_options_config, &before->options, &after->options, after->arena,
		&report, ei);
}

static void
free_config(void *config)
{
	struct loaded_config *c = config;

	loaded_config_free(&c);
}

/* The command line comes before the file, but for single modules. */
static void
set_log_levels(const struct serve_flags *f, const struct loaded_config *c)
{
	struct log_section log = c->options.log;

	if (f->log_level != NULL)
		log.level = log_level_parse(span_cstr(f->log_level));
	log_section_apply(&log);
}

/* Pool thread; the runtime runs one at a time. */
static enum err
reload(void *arg, struct snapshot **out, struct errinfo *ei)
{
	struct serve *s = arg;
	struct loaded_config *fresh = NULL;

	*out = NULL;
	enum err rc = loaded_config_read(s->flags.config, s->flags.bundle, &fresh, ei);
	if (rc != OK)
		loaded_config_print(fresh);
	if (rc == OK)
		rc = check_change(s->config, fresh, ei);
	if (rc == OK)
		rc = build_snapshot(s, fresh, out, ei);
	if (rc == OK)
		snapshot_keep_source(*out, fresh, free_config);
	else
		loaded_config_free(&fresh);
	return rc;
}

/* Not when it is read: the ledger may refuse the reload. */
static void
on_swap(void *arg, const struct snapshot *now)
{
	const struct serve *s = arg;

	set_log_levels(&s->flags, snapshot_get_source(now));
}

/* Reader thread. */
static enum err
preview(void *arg, const struct snapshot *running, struct buf *out, struct errinfo *ei)
{
	const struct serve *s = arg;

	return reload_preview_build(s->flags.config, s->flags.bundle, snapshot_get_source(running),
		policy_get_hash(snapshot_get_policy(running)), out, ei);
}

/* Reader thread. */
static enum err
examine(void *arg, struct doctor_report *out, struct errinfo *ei)
{
	const struct serve *s = arg;
	struct examination x = {
		.config = s->flags.config, .bundle = s->flags.bundle, .is_running = true};

	return examination_run(&x, out, ei);
}

static void
say_ready(void *arg, const struct runtime_listener *l, const char *address)
{
	const struct serve *s = arg;
	char roles[LISTENER_ROLES_TEXT_MAX];
	const char *scheme = span_starts(span_cstr(address), SPAN_LIT("unix:")) ? ""
			     : l->tls                                           ? "https://"
										: "http://";

	if (l->name.n > 0) {
		listener_roles_format(l->roles, roles);
		log_ok("listening on %s%s (listener %.*s, for %s%s, transport http, deny by "
		       "default)",
			scheme, address, SPAN_ARG(l->name), roles,
			l->proxy_protocol ? ", PROXY protocol" : "");
		return;
	}
	log_ok("listening on %s%s (transport http, deny by default, ledger %s)", scheme, address,
		s->config->options.runtime.stateless_mode ? "none: stateless"
							  : s->config->options.ledger.path.p);
}

/* While nobody listens to it, a reload waits: as it is, SIGHUP ends a process. */
static void
hold_hangup(bool is_held)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(is_held ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

/*
 * Without its patterns a redactor replaces everything, for the whole life of the process: safe, but a ledger and a log that say
 * nothing. The log could not even say this, so it is printed.
 */
static bool
can_redact(void)
{
	if (redact_is_clean(redactor_default(), SPAN_LIT("ready")))
		return true;
	fprintf(stderr,
		"nomos: the built-in redaction patterns could not be compiled; out of memory?\n");
	return false;
}

static int
serve_with(struct serve *s, struct arena *a)
{
	const struct nomos_options *o = &s->config->options;
	struct runtime_options options = {
		.n_workers = (size_t)o->gateway.workers,
		.shutdown_delay_ns = o->gateway.shutdown_delay_seconds * NS_PER_SEC,
		.shutdown_grace_ns = o->gateway.shutdown_grace_seconds * NS_PER_SEC,
		.tls_look_ns = o->gateway.tls.look_ms * NS_PER_MS,
		.handler = gateway_handle,
		.load = reload,
		.load_arg = s,
		.on_swap = on_swap,
		.preview = preview,
		.preview_arg = s,
		.examine = examine,
		.examine_arg = s,
		.telemetry_interval_ns = o->telemetry.interval_seconds * NS_PER_SEC,
		.write_metrics = gateway_write_metrics,
		.on_ready = say_ready,
		.on_ready_arg = s,
	};
	struct snapshot *snapshot = NULL;
	struct runtime *runtime = NULL;
	struct audit_plan plan;
	struct errinfo ei;

	enum err rc = runtime_listeners_build(&o->gateway, &options.listeners, &ei);
	if (rc == OK)
		rc = gateway_section_build_trusted(&o->gateway, &options.trusted, &ei);
	gateway_section_build(&o->gateway, &options.http);
	options.http.look = gateway_look;
	options.http.place = gateway_place;
	options.http.may_serve = gateway_may_serve;
	options.http.on_answer = gateway_on_answer;
	if (rc == OK)
		rc = key_ring_new(&s->key_ring, &ei);
	if (rc == OK)
		rc = build_snapshot(s, s->config, &snapshot, &ei);
	if (rc == OK)
		snapshot_keep_source(snapshot, s->config, NULL);
	if (rc == OK)
		rc = audit_plan_parse(&o->ledger, &o->audit, o->runtime.stateless_mode, &plan, &ei);
	if (rc == OK)
		rc = audit_plan_build(
			&plan, &o->ledger, &o->audit, &o->approvals, a, &options.ledger, &ei);
	/* As long as a decision may be reported, retention leaves it. */
	options.ledger.retention.report_window_s = o->reports.window_seconds;
	if (rc == OK)
		rc = gateway_section_build_tls(&o->gateway, &options.tls, &ei);
	if (rc == OK)
		rc = gateway_section_build_address_cap(&o->gateway, &options.http.address_cap, &ei);
	if (rc == OK)
		rc = telemetry_section_build(&o->telemetry,
			o->approvals.enabled ? o->approvals.max_waiting : 0, &options.telemetry,
			&ei);
	if (rc == OK)
		rc = runtime_new(&options, snapshot, &runtime, &ei);
	else
		snapshot_unref(&snapshot);
	if (rc != OK)
		return command_fail("init gateway: %s", ei.msg);
	hold_hangup(false);
	if (!runtime_run(runtime)) {
		/* Threads may still run: what is acknowledged is durable, so the process just ends. */
		log_stop();
		_exit(EXIT_FAILED);
	}
	/* The loop gives signals back as it found them, and a script does not know that we are going. */
	hold_hangup(true);
	runtime_free(&runtime);
	log_ok("stopped");
	return EXIT_DONE;
}

static bool
set_log(const struct serve_flags *f)
{
	if (f->log_level != NULL && log_level_parse(span_cstr(f->log_level)) > LOG_DEBUG) {
		log_error(NULL, "--log-level is one of error, warn, info, debug");
		return false;
	}
	if (f->log_level != NULL)
		log_set_level(log_level_parse(span_cstr(f->log_level)));
	const char *format = f->log_format;
	if (format == NULL)
		format = isatty(STDERR_FILENO) ? "text" : "json";
	if (strcmp(format, "text") != 0 && strcmp(format, "json") != 0) {
		log_error(NULL, "--log-format is text or json");
		return false;
	}
	log_set_format(strcmp(format, "text") == 0 ? LOG_TEXT : LOG_JSON);
	return true;
}

static int
run(const struct command *self, int argc, char **argv)
{
	struct serve s = {0};
	const struct flag flags[] = {
		{"config", "c", FLAG_TEXT, &s.flags.config, "FILE", "NOMOS_CONFIG",
			"configuration, JSON or YAML"},
		{"policy-bundle", "p", FLAG_TEXT, &s.flags.bundle, "FILE", "NOMOS_POLICY_BUNDLE",
			"policy bundle instead of the configured ones"},
		{"log-level", "l", FLAG_TEXT, &s.flags.log_level, "LEVEL", "NOMOS_LOG_LEVEL",
			"error, warn, info, debug"},
		{"log-format", NULL, FLAG_TEXT, &s.flags.log_format, "FORMAT", NULL,
			"text or json; default: text on a terminal"},
	};
	struct errinfo ei;
	int rest = 0;
	enum flags_result f = flags_parse(self, flags, ARRAY_LEN(flags), argc, argv, 0, &rest);

	if (f != FLAGS_OK)
		return flags_exit(f);
	if (s.flags.config == NULL)
		return command_fail("--config/-c is required (or NOMOS_CONFIG); `nomos init DIR` "
				    "makes one to start with");
	if (!set_log(&s.flags))
		return EXIT_USAGE;
	hold_hangup(true);
	if (!can_redact())
		return EXIT_FAILED;
	log_start();
	struct arena *a = arena_new(64 * 1024);
	enum err rc = loaded_config_read(s.flags.config, s.flags.bundle, &s.config, &ei);
	int status = EXIT_FAILED;
	loaded_config_print(s.config);
	if (a == NULL)
		status = command_fail("out of memory");
	else if (rc != OK)
		status = command_fail("%s", ei.msg);
	else {
		set_log_levels(&s.flags, s.config);
		status = serve_with(&s, a);
	}
	key_ring_free(&s.key_ring);
	loaded_config_free(&s.config);
	arena_free(&a);
	log_stop();
	return status;
}

const struct command cmd_serve = {
	.name = "serve",
	.summary = "Run the gateway in the foreground",
	.usage = "nomos serve -c FILE [-p BUNDLE] [-l LEVEL]",
	.examples = "  nomos init demo && nomos serve -c demo/nomos.yaml\n"
		    "  kill -HUP PID      read configuration and policy anew\n"
		    "  kill -TERM PID     finish what was accepted, then stop\n",
	.run = run,
};
