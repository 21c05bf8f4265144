/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps a ledger over time: a consistent copy, also beside a running writer, and putting a
 * ledger that cannot go on aside (decisions 12, 45). Blocking; the command line's thread.
 */
#ifndef AUDIT_BACKUP_H
#define AUDIT_BACKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/checkpoint.h"
#include "audit/verify.h"
#include "base/attr.h"
#include "base/err.h"

/*
 * Copies the ledger at path as of one moment to dest, which must not exist (mode 0600), makes it
 * durable, and verifies the copy with *o (its head_file is not used). OK whatever the verdict in
 * *out is: a broken ledger is worth a copy too. ERR_CONFLICT (dest exists), ERR_INVALID (not a
 * ledger), ERR_NOT_FOUND, ERR_IO and those of source_open; no dest is left then.
 */
MUSTCHECK enum err backup_make(const char *path, const char *dest, const struct verify_options *o,
	struct verify_result *out, struct errinfo *ei);

#define BACKUP_NAME_MAX 4096
struct backup_sealed {
	char name[BACKUP_NAME_MAX];  /* the ledger's new name */
	struct checkpoint_seal seal; /* what the next chain will say */
};
/*
 * Moves the ledger, what lies beside it and its head file to `<path>.sealed-<UTC time>` and leaves
 * `<path>.seal` for the next start. The key stays: it signs the next chain too. ERR_BUSY (a gateway
 * holds it), ERR_INVALID (no or too long a reason; nothing there that looks like a ledger),
 * ERR_CONFLICT (the new name is taken), ERR_IO.
 */
MUSTCHECK enum err backup_seal(
	const char *path, const char *reason, struct backup_sealed *out, struct errinfo *ei);

#endif
