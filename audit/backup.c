/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a ledger. It must never write to the ledger, never over a file that is there, and never
 * leave half a copy under the name that was asked for: it grows under another one. Blocking.
 */
#define _GNU_SOURCE /* O_NOFOLLOW, renameat2 */

#include "audit/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/source.h"
#include "audit/store.h"
#include "base/fault.h"
#include "base/fdio.h"
#include "base/hash.h"
#include "base/rand.h"

static enum err
sync_file(const char *path, struct errinfo *ei)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	enum err rc = fsync(fd) == 0 ? OK : ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	close(fd);
	return rc;
}

static enum err
name_partial(const char *dest, char out[BACKUP_NAME_MAX], struct errinfo *ei)
{
	unsigned char noise[8];
	char hex[2 * sizeof(noise) + 1];
	enum err rc = rand_bytes(noise, sizeof(noise), ei);

	if (rc != OK)
		return rc;
	hash_hex(noise, sizeof(noise), hex);
	int n = snprintf(out, BACKUP_NAME_MAX, "%s.partial-%s", dest, hex);
	return n > 0 && n < BACKUP_NAME_MAX ? OK : ERR(ei, ERR_INVALID, "the path is too long");
}

static enum err
create_partial(const char *partial, const char *dest, struct errinfo *ei)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	/* Said at once; put_in_place says it again for one that appears while we copy. */
	if (access(dest, F_OK) == 0)
		return ERR_ERRNO(ei, ERR_CONFLICT, EEXIST, "%s", dest);
	int fd = FAULT_BEFORE(BACKUP_CREATE) ? -1 : open(partial, flags, 0600);
	if (fd < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", dest);
	close(fd);
	(void)FAULT_AFTER(BACKUP_CREATE);
	return OK;
}

static enum err
put_in_place(const char *partial, const char *dest, struct errinfo *ei)
{
	if (renameat2(AT_FDCWD, partial, AT_FDCWD, dest, RENAME_NOREPLACE) != 0)
		return ERR_ERRNO(ei, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno, "%s", dest);
	return OK;
}

static enum err
verify_copy(const char *dest, const struct verify_options *o, struct verify_result *out,
	struct errinfo *ei)
{
	struct verify_options options = *o;
	struct source *copy = NULL;
	enum err rc = source_open(dest, SOURCE_PRIVATE, &copy, ei);

	options.head_file = NULL;
	if (rc == OK)
		rc = verify_source(copy, &options, out, ei);
	source_free(&copy);
	return rc;
}

enum err
backup_make(const char *path, const char *dest, const struct verify_options *o,
	struct verify_result *out, struct errinfo *ei)
{
	struct source *s = NULL;
	enum err rc = source_open(path, SOURCE_SHARED, &s, ei);

	*out = (struct verify_result){0};
	if (rc == OK && source_get_kind(s) != SOURCE_LEDGER)
		rc = ERR(ei, ERR_INVALID, "%s is an export; copy it like any file", path);
	if (rc != OK) {
		source_free(&s);
		return rc;
	}
	char partial[BACKUP_NAME_MAX];
	rc = name_partial(dest, partial, ei);
	if (rc == OK)
		rc = create_partial(partial, dest, ei);
	if (rc != OK) {
		source_free(&s);
		return rc;
	}
	rc = FAULT_AROUND(BACKUP_COPY, ei, store_reader_backup(source_get_reader(s), partial, ei));
	if (rc == OK)
		rc = verify_copy(partial, o, out, ei);
	if (rc == OK)
		rc = FAULT_AROUND(BACKUP_SYNC, ei, sync_file(partial, ei));
	if (rc == OK)
		rc = FAULT_AROUND(BACKUP_RENAME, ei, put_in_place(partial, dest, ei));
	if (rc == OK)
		rc = fdio_sync_folder(dest, ei);
	if (rc != OK)
		(void)unlink(partial);
	source_free(&s);
	return rc;
}
