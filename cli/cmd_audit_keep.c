/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos audit backup and seal. Neither changes a record; seal only moves files, under the ledger's
 * lock. One thread. */
#include <stdio.h>

#include "audit/backup.h"
#include "base/log.h"
#include "cmd_audit.h"

static int
backup_file(const char *path, const char *dest)
{
	struct audit_progress progress = {.what = "verified"};
	struct verify_options o = {.progress = audit_progress_show, .progress_arg = &progress};
	struct verify_result result;
	struct sign_key *key = NULL;
	struct errinfo ei;
	enum err rc = audit_load_public_key(path, NULL, &key, &ei);

	o.key = key;
	if (rc == OK)
		rc = backup_make(path, dest, &o, &result, &ei);
	audit_progress_end(&progress);
	sign_key_free(&key);
	if (rc != OK)
		return command_fail("backup: %s", ei.msg);
	if (!result.is_good)
		return command_fail("%s was written, but the ledger is not whole: record %llu: %s",
			dest, (unsigned long long)result.bad_seq, result.reason);
	log_ok("%s: %llu records, whole to checkpoint %llu", dest,
		(unsigned long long)result.n_records, (unsigned long long)result.last_checkpoint);
	log_info(NULL,
		"keep with it: %s.pub and %s.head (to verify), and, apart and secret, %s.key (to "
		"go on signing)",
		path, path, path);
	return EXIT_DONE;
}

int
audit_run_backup(const struct command *self, int argc, char **argv)
{
	struct audit_file f = {.config = NULL};
	const struct flag flags[] = {AUDIT_CONFIG_FLAG(&f)};
	const char *args[2];
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, args, 2, &status))
		return status;
	/* With -c the only argument is DEST. */
	const char *given = args[1] != NULL ? args[0] : NULL;
	const char *dest = args[1] != NULL ? args[1] : args[0];
	if (dest == NULL || (given == NULL && f.config == NULL)) {
		log_error(NULL, "FILE and DEST are needed: %s", self->usage);
		return EXIT_USAGE;
	}
	if (audit_file_find(&f, self, given, &status))
		status = backup_file(f.path, dest);
	audit_file_fini(&f);
	return status;
}

static int
seal_file(const char *path, const char *reason)
{
	struct backup_sealed sealed;
	struct errinfo ei;

	if (backup_seal(path, reason, &sealed, &ei) != OK)
		return command_fail("seal: %s", ei.msg);
	log_ok("the ledger is now %s", sealed.name);
	if (sealed.seal.at.seq > 0)
		log_info(NULL, "the next chain will name its record %llu of chain %s",
			(unsigned long long)sealed.seal.at.seq, sealed.seal.chain_id);
	else
		log_warn(NULL, "its last record could not be read: the next chain will only give "
			       "the reason");
	log_info(NULL,
		"next: keep %s and what begins with that name, then start the gateway: a new chain "
		"begins",
		sealed.name);
	return EXIT_DONE;
}

int
audit_run_seal(const struct command *self, int argc, char **argv)
{
	struct audit_file f = {.config = NULL};
	const char *reason = NULL;
	const struct flag flags[] = {
		{"reason", NULL, FLAG_TEXT, &reason, "TEXT", NULL,
			"why; the first record of the next chain carries it"},
		AUDIT_CONFIG_FLAG(&f),
	};
	const char *arg = NULL;
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, &arg, 1, &status))
		return status;
	if (reason == NULL) {
		log_error(NULL, "--reason is needed: %s", self->usage);
		return EXIT_USAGE;
	}
	if (audit_file_find(&f, self, arg, &status))
		status = seal_file(f.path, reason);
	audit_file_fini(&f);
	return status;
}
