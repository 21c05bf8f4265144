/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The root table and the reading of configuration files for every command. */
#include "options.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/version.h"

#define CONFIG_ARENA_BYTES (32 * 1024 * 1024)

/* A name in certificates that nobody is asked for would be nobody's. */
static void
check_certificates(const struct nomos_options *o, struct config_scope *scope)
{
	const struct mtls_section *names = &o->identity.mtls;

	if (o->gateway.tls.client_ca_file.n > 0)
		return;
	if (o->identity.spiffe.enabled)
		config_fail(scope, "identity.spiffe",
			"identity.spiffe needs client certificates: set "
			"gateway.tls.client_ca_file");
	if (names->dns_names.n + names->common_names.n > 0)
		config_fail(scope, "identity.mtls",
			"identity.mtls needs client certificates: set gateway.tls.client_ca_file");
}

static void
check_sections(void *options, struct config_scope *scope)
{
	struct nomos_options *o = options;
	struct pipeline_options pipeline = {.engine_version = SPAN_NONE};

	PIPELINE_OPTIONS_FROM(&pipeline, o);
	runtime_check_options(&o->ledger, &o->audit, o->runtime.stateless_mode, scope);
	pipeline_check_options(&pipeline, scope);
	check_certificates(o, scope);
}

static const config_check_fn checks[] = {check_sections, NULL};

CONFIG_OBJECT(
	nomos_options, NOMOS_SECTIONS, .prose = "The configuration of nomos.", .checks = checks);

static const char *
read_environment(const char *name, void *arg)
{
	(void)arg;
	return getenv(name);
}

static enum err
load(struct loaded_config *c, const char *path, const char *bundle, struct errinfo *ei)
{
	struct buf text;
	struct span bundle_value = span_cstr(bundle);
	struct config_override overrides[] = {
		{"policy.policy_bundle_paths", "--policy-bundle", &bundle_value, 1},
	};

	enum err rc = config_read(path, &text, ei);
	if (rc == OK) {
		struct config_input in = {
			.file = path,
			.text = buf_span(&text),
			.directory = config_folder(path, c->arena),
			.env = read_environment,
			.overrides = overrides,
			.n_overrides = bundle != NULL ? ARRAY_LEN(overrides) : 0,
		};
		rc = config_load(&nomos_options_config, &in, c->arena, &c->options, &c->report, ei);
	}
	config_wipe_text(&text);
	return rc;
}

enum err
loaded_config_read(
	const char *path, const char *bundle, struct loaded_config **out, struct errinfo *ei)
{
	*out = mem_zalloc(1, sizeof(**out));
	if (*out == NULL)
		return ERR(ei, ERR_NOMEM, "load config: out of memory");
	(*out)->arena = arena_new(CONFIG_ARENA_BYTES);
	if ((*out)->arena == NULL)
		return ERR(ei, ERR_NOMEM, "load config: out of memory");
	enum err rc = load(*out, path, bundle, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "load config");
}

void
loaded_config_free(struct loaded_config **c)
{
	if (*c == NULL)
		return;
	config_wipe(&nomos_options_config, &(*c)->options);
	arena_free(&(*c)->arena);
	mem_free(*c);
	*c = NULL;
}

void
loaded_config_print(const struct loaded_config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->report.n_issues; i++) {
		const struct config_issue *issue = &c->report.issues[i];
		switch (issue->level) {
		case CONFIG_ERROR:
			log_error(NULL, "%.*s", SPAN_ARG(issue->text));
			break;
		case CONFIG_WARN:
			log_warn(NULL, "%.*s", SPAN_ARG(issue->text));
			break;
		case CONFIG_INFO:
			log_info(NULL, "%.*s", SPAN_ARG(issue->text));
			break;
		}
	}
}

void
loaded_config_pipeline(const struct loaded_config *c, struct pipeline_options *out)
{
	*out = (struct pipeline_options){.engine_version = span_cstr(version_get()->version)};
	PIPELINE_OPTIONS_FROM(out, &c->options);
	out->has_durable_sink = !c->options.runtime.stateless_mode;
}
