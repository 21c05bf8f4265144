/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Who else can use the files: those with secrets are their owner's alone, and whoever can write configuration, policy, a key that
 * something is verified with, or the ledger, is above them. One thread.
 */
#define _XOPEN_SOURCE 700 /* S_ISVTX */

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/fdio.h"
#include "config/load.h"
#include "doctor_checks.h"
#include "pipeline/options.h"
#include "runtime/options.h"

#define PATH_BYTES 4200
#define OTHERS_WRITE 02u
#define OTHERS_USE 06u
#define ANYBODY_BUT_OWNER 077u

/* False with the finding in *out when others can do what they must not. */
static bool
is_private(struct doctor *d, const char *path, unsigned forbidden, enum finding *out)
{
	struct stat st;

	if (stat(path, &st) != 0 || (st.st_mode & forbidden) == 0)
		return true;
	*out = doctor_say(d, FINDING_FAIL, "%s has mode %04o, which gives others too much", path,
		(unsigned)(st.st_mode & 07777));
	return false;
}

/* In a folder that everybody may write a file can be replaced, unless only owners may remove. */
static bool
is_folder_safe(struct doctor *d, const char *path, enum finding *out)
{
	char folder[PATH_BYTES];
	struct stat st;
	int n = snprintf(folder, sizeof(folder), "%s", path);
	char *slash = n > 0 && (size_t)n < sizeof(folder) ? strrchr(folder, '/') : NULL;

	if (slash == NULL)
		snprintf(folder, sizeof(folder), ".");
	else
		slash[slash == folder ? 1 : 0] = '\0';
	if (stat(folder, &st) != 0 || (st.st_mode & (S_IWOTH | S_ISVTX)) != S_IWOTH)
		return true;
	*out = doctor_say(d, FINDING_FAIL, "%s has mode %04o: others can replace what is in it",
		folder, (unsigned)(st.st_mode & 07777));
	return false;
}

static bool
is_safe(struct doctor *d, struct span path, enum finding *out)
{
	return path.n == 0 ||
	       (is_private(d, path.p, OTHERS_WRITE, out) && is_folder_safe(d, path.p, out));
}

static bool
are_keys_private(struct doctor *d, const char *folder, enum finding *out)
{
	static const char *const names[] = {"keys/agent", "keys/agent.secret", "keys/operator"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *path = fdio_join(d->arena, folder, span_cstr(names[i]));
		if (path != NULL && !is_private(d, path, ANYBODY_BUT_OWNER, out))
			return false;
	}
	return true;
}

static bool
are_sources_safe(struct doctor *d, enum finding *out)
{
	const struct policy_section *o = &d->in->pipeline->policy;
	const struct gateway_tls_section *tls = &d->in->gateway->tls;
	const struct span files[] = {o->policy_bundle_path, o->public_key_path,
		d->in->pipeline->identity.oidc.public_key_path, tls->client_ca_file,
		tls->client_crl_file, tls->cert_file,
		d->in->pipeline->runtime.stateless_mode ? SPAN_NONE : d->in->ledger->path};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (!is_safe(d, files[i], out))
			return false;
	}
	for (size_t i = 0; i < o->policy_bundle_paths.n; i++) {
		if (!is_safe(d, o->policy_bundle_paths.v[i], out))
			return false;
	}
	return true;
}

enum finding
check_file_modes(struct doctor *d)
{
	const char *config = d->in->config_path;
	const char *folder = config != NULL ? config_folder(config, d->arena) : NULL;
	enum finding finding = FINDING_PASS;
	struct stat st;

	if (folder == NULL)
		return FINDING_ABSENT;
	if (!is_private(
		    d, config, d->in->n_file_secrets > 0 ? OTHERS_USE : OTHERS_WRITE, &finding) ||
		!is_folder_safe(d, config, &finding))
		return finding;
	if (!are_keys_private(d, folder, &finding) || !are_sources_safe(d, &finding))
		return finding;
	if (d->in->n_file_secrets > 0 && stat(config, &st) == 0 && (st.st_mode & 060) != 0)
		return doctor_say(d, FINDING_ADVICE,
			"the configuration holds secrets, and its group can use it");
	return FINDING_PASS;
}
