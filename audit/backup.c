/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a ledger. It must never write to the ledger, never over a file that is there, and never
 * leave half a copy. Blocking.
 */
#define _GNU_SOURCE /* O_DIRECTORY, O_NOFOLLOW */

#include "audit/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

#include "audit/source.h"
#include "audit/store.h"
#include "base/mem.h"

static enum err
sync_path(const char *path, int flags, struct errinfo *ei)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	enum err rc = fsync(fd) == 0 ? OK : ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	close(fd);
	return rc;
}

static enum err
sync_copy(const char *dest, struct errinfo *ei)
{
	char *name = mem_dup_cstr(dest);
	if (name == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = sync_path(dest, O_NOFOLLOW, ei);
	if (rc == OK)
		rc = sync_path(dirname(name), O_DIRECTORY, ei);
	mem_free(name);
	return rc;
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
	int fd = open(dest, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = ERR_ERRNO(ei, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno, "%s", dest);
		source_free(&s);
		return rc;
	}
	close(fd);
	rc = store_reader_backup(source_get_reader(s), dest, ei);
	if (rc == OK)
		rc = verify_copy(dest, o, out, ei);
	if (rc == OK)
		rc = sync_copy(dest, ei);
	if (rc != OK)
		(void)unlink(dest);
	source_free(&s);
	return rc;
}
