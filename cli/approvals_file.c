/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Opens what approvals_read.h needs: the ledger, the redactor, the policy that would be in force. */
#include "approvals_file.h"

#include "audit/source.h"
#include "base/arena.h"
#include "base/redact.h"
#include "options.h"
#include "pipeline/approvals_read.h"
#include "pipeline/policy_files.h"
#include "policy/policy.h"

#define READ_ARENA_BYTES ((size_t)32 * 1024 * 1024)

/* A policy that cannot be loaded is no reason to show nothing. */
static struct policy *
load_policy(const struct loaded_config *c)
{
	struct policy *policy = NULL;
	struct errinfo ei;

	return policy_files_load(&c->options.policy, &policy, &ei) == OK ? policy : NULL;
}

static enum err
read_ledger(const struct loaded_config *c, struct span id, const struct approvals_page *page,
	struct buf *out, struct errinfo *ei)
{
	const struct redaction_section *patterns = &c->options.redaction;
	struct approvals_file f = {.arena = arena_new(READ_ARENA_BYTES)};
	struct policy *policy = load_policy(c);
	struct redactor *redactor = NULL;
	struct source *source = NULL;
	enum err rc = f.arena != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");

	if (rc == OK)
		rc = redactor_new(patterns->patterns.v, patterns->patterns.n, &redactor, ei);
	if (rc == OK)
		rc = source_open(c->options.ledger.path.p, SOURCE_SHARED, &source, ei);
	if (rc == OK && source_get_kind(source) != SOURCE_LEDGER)
		rc = ERR(ei, ERR_INVALID, "%s is no ledger", c->options.ledger.path.p);
	if (rc == OK) {
		f.reader = source_get_reader(source);
		f.redactor = redactor;
		f.policy_hash = policy != NULL ? policy_get_hash(policy) : NULL;
		rc = id.n > 0 ? approvals_read_one(&f, id, out, ei)
			      : approvals_read_list(&f, page, out, ei);
	}
	if (rc == ERR_NOT_FOUND && source != NULL)
		rc = ERR(ei, ERR_NOT_FOUND, "approval not found");
	source_free(&source);
	redactor_free(&redactor);
	policy_unref(&policy);
	arena_free(&f.arena);
	return rc;
}

enum err
approvals_file_read(const char *config, struct span id, const struct approvals_page *page,
	struct buf *out, struct errinfo *ei)
{
	struct loaded_config *c = NULL;
	enum err rc = loaded_config_read(config, NULL, &c, ei);

	if (rc != OK)
		loaded_config_print(c);
	else if (c->options.runtime.stateless_mode || c->options.ledger.path.n == 0)
		rc = ERR(ei, ERR_INVALID, "%s names no ledger", config);
	else if (!c->options.approvals.enabled)
		rc = ERR(ei, ERR_INVALID, "approvals are not enabled");
	else
		rc = read_ledger(c, id, page, out, ei);
	loaded_config_free(&c);
	return rc;
}
