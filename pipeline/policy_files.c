/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the files that the section `policy` names and loads them: bundles, detached signatures, the public key. Every command
 * that loads a policy comes this way, so that a signature is never skipped. Blocking; never on a loop.
 */
#include "pipeline/policy_files.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"

#define FILES_ARENA_BYTES ((size_t)256 * 1024 * 1024)
#define KEY_BYTES_MAX ((size_t)64 * 1024)

/* Reads a file into the arena of the load. */
static enum err
read_into(struct arena *a, struct span path, size_t max, struct span *out, struct errinfo *ei)
{
	char *name = arena_dup_cstr(a, path);
	struct buf text;
	enum err rc;

	*out = SPAN_NONE;
	if (name == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for policy files");
	buf_init(&text, max + 1);
	rc = fdio_read_file(name, max, &text, ei);
	if (rc == OK) {
		*out = arena_dup(a, buf_span(&text));
		if (out->p == NULL)
			rc = ERR(ei, ERR_NOMEM, "out of memory for policy files");
	}
	buf_fini(&text);
	return rc;
}

static struct config_strings
bundle_paths(const struct policy_section *o)
{
	if (o->policy_bundle_paths.n > 0)
		return o->policy_bundle_paths;
	return (struct config_strings){&o->policy_bundle_path, o->policy_bundle_path.n > 0 ? 1 : 0};
}

static struct config_strings
signature_paths(const struct policy_section *o)
{
	if (o->signature_paths.n > 0)
		return o->signature_paths;
	return (struct config_strings){&o->signature_path, o->signature_path.n > 0 ? 1 : 0};
}

/* Length of the folder that all paths share, with its slash: bundles are named behind it, because their names reach clients. */
static size_t
common_folder(const struct config_strings *paths)
{
	size_t n = paths->v[0].n;

	for (size_t i = 1; i < paths->n; i++) {
		size_t k = 0;

		while (k < n && k < paths->v[i].n && paths->v[i].p[k] == paths->v[0].p[k])
			k++;
		n = k;
	}
	while (n > 0 && paths->v[0].p[n - 1] != '/')
		n--;
	return n;
}

static enum err
read_source(const struct policy_section *o, struct config_strings paths, size_t i,
	struct policy_source *source, struct arena *a, struct errinfo *ei)
{
	struct config_strings signatures = signature_paths(o);
	enum err rc = read_into(a, paths.v[i], BUF_CAP_FILE, &source->bytes, ei);

	if (rc != OK)
		return ERR_WRAP(ei, rc, "policy bundle path invalid");
	source->path = span_from(paths.v[i], common_folder(&paths));
	if (o->policy_bundle_roles.n > 0)
		source->role = o->policy_bundle_roles.v[i];
	source->verify = o->verify_signatures;
	if (!o->verify_signatures)
		return OK;
	rc = read_into(a, signatures.v[i], KEY_BYTES_MAX, &source->signature, ei);
	if (rc != OK)
		return ERR_WRAP(ei, rc, "policy signature path invalid");
	source->signature = span_trim(source->signature);
	return OK;
}

/* Config checks have seen these rules; a snapshot does not rest on its caller having run them. */
static enum err
check_counts(const struct policy_section *o, size_t n, struct errinfo *ei)
{
	if (n == 0)
		return ERR(ei, ERR_INVALID,
			"policy.policy_bundle_path or policy.policy_bundle_paths is required");
	if (o->policy_bundle_roles.n > 0 && o->policy_bundle_roles.n != n)
		return ERR(ei, ERR_INVALID,
			"policy.policy_bundle_roles must have one role for each bundle");
	if (o->verify_signatures && signature_paths(o).n != n)
		return ERR(ei, ERR_INVALID,
			"policy.signature_paths must have one path for each bundle");
	return OK;
}

static enum err
load_policy(
	const struct policy_section *o, struct arena *a, struct policy **out, struct errinfo *ei)
{
	struct config_strings paths = bundle_paths(o);
	struct policy_options options = {.exec_mode = o->exec_compatibility_mode,
		.strict_obligations = o->strict_obligations};
	struct policy_source *sources;
	enum err rc = check_counts(o, paths.n, ei);

	if (rc != OK)
		return rc;
	sources = ARENA_ARRAY(a, struct policy_source, paths.n);
	if (sources == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for policy files");
	if (o->verify_signatures) {
		rc = read_into(a, o->public_key_path, KEY_BYTES_MAX, &options.public_key_pem, ei);
		if (rc != OK)
			return ERR_WRAP(ei, rc, "policy public key path invalid");
	}
	for (size_t i = 0; i < paths.n; i++) {
		rc = read_source(o, paths, i, &sources[i], a, ei);
		if (rc != OK)
			return rc;
	}
	rc = policy_load(sources, paths.n, &options, out, ei);
	if (rc != OK && common_folder(&paths) > 0)
		return ERR_WRAP(ei, rc, "policy in %.*s",
			SPAN_ARG(span_of(paths.v[0].p, common_folder(&paths))));
	return rc;
}

/* The files are only needed while they are compiled. */
enum err
policy_files_load(const struct policy_section *o, struct policy **out, struct errinfo *ei)
{
	struct arena *files = arena_new(FILES_ARENA_BYTES);
	enum err rc;

	*out = NULL;
	if (files == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory for policy files");
	rc = load_policy(o, files, out, ei);
	arena_free(&files);
	return rc;
}
