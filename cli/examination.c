/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* From a configuration's file to doctor's report; a configuration that does not load is one of its findings. */
#include "examination.h"

#include <stdlib.h>

#include "base/mem.h"
#include "options.h"
#include "runtime/doctor.h"

static bool
is_in_environment(const char *name)
{
	return span_trim(span_cstr(getenv(name))).n > 0;
}

/* A secret that is set, and the variable that it may come from. */
struct given_secret {
	struct span value;
	const char *variable;
};

/* What the environment gave is no matter of the file's mode. */
static size_t
count_file_secrets(const struct nomos_options *o)
{
	const struct approvals_section *a = &o->approvals;
	const struct given_secret given[] = {
		{o->audit.webhook.secret, "NOMOS_AUDIT_WEBHOOK_SECRET"},
		{a->webhook_token, "NOMOS_APPROVALS_WEBHOOK_TOKEN"},
		{a->slack_token, "NOMOS_APPROVALS_SLACK_TOKEN"},
		{a->teams_token, "NOMOS_APPROVALS_TEAMS_TOKEN"},
		{a->relay.generic.token, "NOMOS_APPROVALS_RELAY_GENERIC_TOKEN"},
		{a->relay.slack.token, "NOMOS_APPROVALS_RELAY_SLACK_TOKEN"},
		{a->relay.teams.token, "NOMOS_APPROVALS_RELAY_TEAMS_TOKEN"},
	};
	size_t n = o->identity.api_keys.n + o->identity.agent_secrets.n +
		   o->identity.service_secrets.n + a->notify.n;
	size_t n_env = (size_t)is_in_environment("NOMOS_IDENTITY_API_KEY") +
		       is_in_environment("NOMOS_IDENTITY_AGENT_SECRET");

	n = n > n_env ? n - n_env : 0;
	n += o->telemetry.headers.n;
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		n += given[i].value.n > 0 && !is_in_environment(given[i].variable);
	return n;
}

/* What doctor's input points to: a look that does not end may use it after everybody else. */
struct subject {
	struct loaded_config *config;
	struct pipeline_options pipeline;
	struct errinfo why;
};

static void
release_subject(void *arg)
{
	struct subject *s = arg;

	loaded_config_free(&s->config);
	mem_free(s);
}

enum err
examination_run(const struct examination *x, struct doctor_report *out, struct errinfo *ei)
{
	struct subject *s = mem_zalloc(1, sizeof(*s));
	struct doctor_input in = {.config_path = x->config,
		.only = span_cstr(x->only),
		.skip = span_cstr(x->skip),
		.is_deep = x->is_deep,
		.is_running = x->is_running,
		.release = release_subject,
		.release_arg = s};

	*out = (struct doctor_report){.arena = NULL};
	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (x->config == NULL)
		in.config_error = "--config/-c is required (or NOMOS_CONFIG)";
	else if (loaded_config_read(x->config, x->bundle, &s->config, &s->why) != OK)
		in.config_error = s->why.msg;
	if (in.config_error == NULL) {
		const struct nomos_options *o = &s->config->options;
		loaded_config_pipeline(s->config, &s->pipeline);
		in.pipeline = &s->pipeline;
		in.gateway = &o->gateway;
		in.ledger = &o->ledger;
		in.audit = &o->audit;
		in.telemetry = &o->telemetry;
		in.n_file_secrets = count_file_secrets(o);
	}
	return doctor_run(&in, out, ei);
}
