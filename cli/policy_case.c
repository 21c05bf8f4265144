/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reads what the policy commands work on, by the gateway's own loaders: signatures are verified where the configuration asks. */
#include "policy_case.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/fdio.h"
#include "pipeline/policy_files.h"
#include "policy/policy.h"

#define CASE_ARENA_BYTES (16 * 1024 * 1024)

/* Without a configuration file the environment alone says how to load and label (NOMOS_POLICY_*, NOMOS_RUNTIME_*). */
#define BARE_SECTIONS(ROW, T)                                                                      \
	ROW(T, OBJECT(runtime_section), runtime, .prose = "Where the policy is used.")             \
	ROW(T, OBJECT(policy_section), policy, .prose = "The policy bundles.")

struct bare_options {
	BARE_SECTIONS(CONFIG_MEMBER, bare_options)
};
CONFIG_OBJECT(bare_options, BARE_SECTIONS, .prose = "The sections that a policy command needs.");

static const char *
read_environment(const char *name, void *arg)
{
	(void)arg;
	return getenv(name);
}

static size_t
split_paths(const char *list, struct span *paths, size_t max)
{
	struct span rest = span_cstr(list);
	size_t n = 0;

	while (rest.n > 0 && n < max) {
		size_t at = span_find(rest, ',');
		struct span path = span_trim(span_of(rest.p, at));
		if (path.n > 0)
			paths[n++] = path;
		rest = span_from(rest, at < rest.n ? at + 1 : at);
	}
	return n;
}

static enum err
load_bare(struct policy_case *c, const char *bundles, struct errinfo *ei)
{
	struct bare_options bare;
	struct config_report report;
	struct span paths[64];
	size_t n = split_paths(bundles, paths, ARRAY_LEN(paths));
	struct config_override override = {"policy.policy_bundle_paths", "--bundle", paths, n};
	struct config_input in = {
		.env = read_environment, .overrides = &override, .n_overrides = 1};

	enum err rc = config_load(&bare_options_config, &in, c->arena, &bare, &report, ei);
	if (rc != OK)
		return rc;
	c->options.runtime = bare.runtime;
	c->options.policy = bare.policy;
	return OK;
}

static enum err
load_policy(struct policy_case *c, const char *config, const char *bundles, struct errinfo *ei)
{
	enum err rc = OK;

	if (config != NULL) {
		rc = loaded_config_read(config, bundles, &c->config, ei);
		if (rc == OK)
			loaded_config_pipeline(c->config, &c->options);
	} else {
		rc = load_bare(c, bundles, ei);
	}
	if (rc != OK)
		return ERR_WRAP(ei, rc, "derive explain settings");
	rc = policy_files_load(&c->options.policy, &c->policy, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "load bundle");
}

static enum err
load_action(struct policy_case *c, const char *path, struct errinfo *ei)
{
	enum err rc = fdio_read_file(path, ACTION_BODY_BYTES_MAX, &c->text, ei);

	if (rc != OK)
		return ERR_WRAP(ei, rc, "read action");
	rc = action_parse_file(buf_span(&c->text), c->arena, &c->action, &c->identity, ei);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "decode action");
}

enum err
policy_case_load(struct policy_case *c, const char *action, const char *config, const char *bundles,
	struct errinfo *ei)
{
	*c = (struct policy_case){.arena = arena_new(CASE_ARENA_BYTES)};
	buf_init(&c->text, ACTION_BODY_BYTES_MAX + 1);
	if (c->arena == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = action != NULL ? load_action(c, action, ei) : OK;
	if (rc == OK)
		rc = load_policy(c, config, bundles, ei);
	if (rc == OK && action != NULL) {
		rc = action_normalize(c->action, &c->identity, c->arena, ei);
		if (rc != OK)
			return ERR_WRAP(ei, rc, "normalize action");
	}
	return rc;
}

void
policy_case_free(struct policy_case *c)
{
	policy_unref(&c->policy);
	loaded_config_free(&c->config);
	buf_fini(&c->text);
	arena_free(&c->arena);
}
