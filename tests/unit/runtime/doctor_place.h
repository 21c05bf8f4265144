/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A folder with a configuration that is fine, and doctor over it. Included by the tests of doctor. */
#ifndef TESTS_DOCTOR_PLACE_H
#define TESTS_DOCTOR_PLACE_H

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "config/load.h"
#include "runtime/doctor.h"
#include "runtime/options.h"
#include "support/test.h"

#define ROOT(ROW, T)                                                                               \
	RUNTIME_SECTIONS(ROW, T)                                                                   \
	PIPELINE_SECTIONS(ROW, T)

struct doctor_root {
	ROOT(CONFIG_MEMBER, doctor_root)
};

UNUSED static void
settle(void *options, struct config_scope *scope)
{
	struct doctor_root *o = options;

	runtime_check_options(&o->ledger, &o->audit, o->runtime.stateless_mode, scope);
}

static const config_check_fn checks[] = {settle, NULL};
CONFIG_OBJECT(doctor_root, ROOT, .prose = "All sections.", .checks = checks);

#define SECRET "0f8a5c1e9b7d42636aa1b2c3d4e5f60718293a4b5c6d7e8f"

static const char good_config[] =
	"gateway:\n  listen: 127.0.0.1:0\n"
	"runtime:\n  deployment_mode: unmanaged\n"
	"policy:\n  policy_bundle_path: policy.yaml\n"
	"executor:\n  workspace_root: workspace\n"
	"audit:\n  sink: \"\"\n"
	"identity:\n  principal: alice\n  agent: bot\n  environment: dev\n"
	"  hashed_keys: [{id: a1, principal: alice, hash: \"sha256:" SECRET "0000111122223333\"}]\n"
	"  agent_secrets: {bot: " SECRET "}\n"
	"  signature_versions: [v2]\n"
	"  roles: {operator: [olga]}\n"
	"  principal_agents: {alice: [bot]}\n";
static const char good_policy[] =
	"version: v1\nrules:\n"
	"- {id: r, action_type: fs.read, resource: 'file://workspace/**', decision: ALLOW}\n";

struct place {
	char dir[128];
	char config[160];
	struct arena *arena;
	struct doctor_root options;
	struct pipeline_options pipeline;
	struct doctor_report report;
	struct errinfo ei;
	bool is_deep;
	const char *root; /* of the host's own files; NULL: the host */
};

UNUSED static const char *
path_in(const struct place *p, const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", p->dir, name);
	return out;
}

UNUSED static void
put(const struct place *p, const char *name, const char *text, unsigned mode)
{
	char path[256];

	CHECK_INT(fdio_write_file(path_in(p, name, path), span_cstr(text), mode, NULL), OK);
	CHECK_INT(chmod(path, mode), 0);
}

UNUSED static void
set_up(struct place *p)
{
	char path[256];

	memset(p, 0, sizeof(*p));
	snprintf(p->dir, sizeof(p->dir), "%s", test_tmpdir());
	snprintf(p->config, sizeof(p->config), "%s/nomos.yaml", p->dir);
	CHECK_INT(mkdir(path_in(p, "workspace", path), 0755), 0);
	put(p, "policy.yaml", good_policy, 0644);
	put(p, "nomos.yaml", good_config, 0600);
}

/* Reads what stands in the folder and examines it. */
UNUSED static void
examine(struct place *p)
{
	struct config_report issues;
	struct buf text;

	arena_free(&p->arena);
	doctor_report_fini(&p->report);
	p->arena = arena_new(8 * 1024 * 1024);
	CHECK_INT(config_read(p->config, &text, &p->ei), OK);
	struct config_input in = {.file = p->config, .text = buf_span(&text)};
	enum err rc = config_load(&doctor_root_config, &in, p->arena, &p->options, &issues, &p->ei);
	p->pipeline = (struct pipeline_options){.engine_version = SPAN_LIT("0.0.0")};
	PIPELINE_OPTIONS_FROM(&p->pipeline, &p->options);
	p->pipeline.has_durable_sink = !p->options.runtime.stateless_mode;
	struct doctor_input doctor = {
		.config_path = p->config,
		.config_error = rc == OK ? NULL : p->ei.msg,
		.n_file_secrets = 1,
		.gateway = &p->options.gateway,
		.ledger = &p->options.ledger,
		.audit = &p->options.audit,
		.telemetry = &p->options.telemetry,
		.pipeline = &p->pipeline,
		.is_deep = p->is_deep,
		.root = p->root,
	};
	CHECK_INT(doctor_run(&doctor, &p->report, &p->ei), OK);
	config_wipe_text(&text);
}

UNUSED static void
tear_down(struct place *p)
{
	arena_free(&p->arena);
	doctor_report_fini(&p->report);
}

UNUSED static const struct doctor_check *
find(const struct place *p, const char *id)
{
	for (size_t i = 0; i < p->report.n_checks; i++) {
		if (strcmp(p->report.checks[i].id, id) == 0)
			return &p->report.checks[i];
	}
	return NULL;
}

UNUSED static bool
is_listed(const char *list, const char *id)
{
	struct span rest = span_cstr(list);

	while (rest.n > 0) {
		size_t at = span_find(rest, ' ');
		if (span_eq_cstr(span_of(rest.p, at), id))
			return true;
		rest = span_from(rest, at < rest.n ? at + 1 : at);
	}
	return false;
}

/* What it advises depends on the machine that the tests run on. */
UNUSED static bool
is_of_machine(const char *id)
{
	return strcmp(id, "clock.synchronised") == 0 || strcmp(id, "ledger.file_system") == 0;
}

/* Exactly these fail and these advise, by blank separated ids. */
UNUSED static void
expect(const struct place *p, const char *what, const char *failing, const char *advising)
{
	size_t n_failing = 0;

	for (size_t i = 0; i < p->report.n_checks; i++) {
		const struct doctor_check *c = &p->report.checks[i];
		n_failing += c->is_ok ? 0 : 1;
		if (c->is_ok == is_listed(failing, c->id))
			FAIL("%s: %s is %s (%s)", what, c->id, c->is_ok ? "PASS" : "FAIL",
				c->hint != NULL ? c->hint : "-");
		if (c->is_advice != is_listed(advising, c->id) && !is_of_machine(c->id))
			FAIL("%s: advice of %s: %s", what, c->id, c->message);
		if (!c->is_ok && c->hint == NULL)
			FAIL("%s: %s fails without a hint", what, c->id);
	}
	if (p->report.is_ready != (n_failing == 0))
		FAIL("%s: ready does not follow the checks", what);
	if (n_failing == 0 && failing[0] != '\0')
		FAIL("%s: nothing fails", what);
}

struct row {
	const char *what;
	const char *old; /* a text of the good configuration ... */
	const char *new; /* ... and what stands there instead */
	const char *failing;
	const char *advising;
};

UNUSED static void
replace_in(const char *text, char *out, size_t size, const struct row *r)
{
	const char *at = strstr(text, r->old);

	CHECK(at != NULL);
	snprintf(out, size, "%.*s%s%s", (int)(at - text), text, r->new, at + strlen(r->old));
}

UNUSED static void
replace(char *out, size_t size, const struct row *r)
{
	replace_in(good_config, out, size, r);
}

#endif
