/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Writing and finding archives. It must never give a name to a file that does not verify. Blocking. */
#define _GNU_SOURCE /* O_DIRECTORY, O_CLOEXEC */

#include "audit/archive.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "audit/source.h"
#include "audit/store.h"
#include "audit/trailer.h"
#include "audit/verify.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/mem.h"
#include "base/sign.h"

#define PAGE_ROWS 256
#define PAGE_BYTES ((size_t)1024 * 1024)
#define LINES_MAX (PAGE_BYTES + 4 * (size_t)BUF_CAP_RECORD)
#define SUFFIX ".jsonl"
#define PARTIAL ".partial"
#define CHAIN_DIGITS 8
#define SEQ_DIGITS 15
#define NAME_LENGTH (CHAIN_DIGITS + 1 + SEQ_DIGITS + 1 + SEQ_DIGITS + sizeof(SUFFIX) - 1)

struct archiver {
	const struct archive_order *o;
	int fd;
	struct buf lines;
	struct chain_head head;
	bool is_broken;
};

static bool
add_line(const struct store_row *row, void *arg)
{
	struct archiver *a = arg;
	struct span hash = span_of(row->hash, SHA256_HEX);

	if (row->seq > a->o->to.seq || a->is_broken)
		return false;
	a->is_broken = chain_check(a->o->chain_id, &a->head, row->seq, row->body, hash) !=
			       CHAIN_FAULT_NONE ||
		       !chain_build_line(row->body, hash, &a->lines);
	buf_add_char(&a->lines, '\n');
	return !a->is_broken && !buf_failed(&a->lines) && a->lines.n < PAGE_BYTES;
}

static enum err
flush(struct archiver *a, struct errinfo *ei)
{
	if (buf_failed(&a->lines))
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = fdio_write_all(a->fd, buf_span(&a->lines), ei);
	buf_reset(&a->lines);
	return rc;
}

static enum err
write_records(struct archiver *a, struct errinfo *ei)
{
	const struct archive_order *o = a->o;
	enum err rc = OK;

	while (rc == OK && a->head.seq < o->to.seq) {
		uint64_t before = a->head.seq;
		if (o->is_stopped != NULL && o->is_stopped(o->arg))
			return ERR(ei, ERR_STOPPED, "stopped");
		rc = store_reader_page(o->reader, before, PAGE_ROWS, add_line, a, NULL, ei);
		if (rc == OK && (a->is_broken || a->head.seq == before))
			rc = ERR(ei, ERR_CORRUPT, "the chain is broken behind record %" PRIu64,
				a->head.seq);
		if (rc == OK)
			rc = flush(a, ei);
	}
	if (rc == OK && strcmp(a->head.hash, o->to.hash) != 0)
		rc = ERR(ei, ERR_CORRUPT, "record %" PRIu64 " is not the one that was signed",
			o->to.seq);
	return rc;
}

static enum err
write_trailer(struct archiver *a, struct errinfo *ei)
{
	struct trailer t = {.count = a->o->to.seq - a->o->from.seq, .head = a->head};

	memcpy(t.chain_id, a->o->chain_id, CHAIN_ID_HEX + 1);
	enum err rc = trailer_sign(&t, a->o->key, ei);
	if (rc != OK)
		return rc;
	trailer_build(&t, &a->lines);
	buf_add_char(&a->lines, '\n');
	rc = flush(a, ei);
	if (rc == OK && fsync(a->fd) != 0)
		rc = ERR_ERRNO(ei, ERR_IO, errno, "sync of an archive");
	return rc;
}

static enum err
write_file(const struct archive_order *o, const char *path, struct errinfo *ei)
{
	struct archiver a = {.o = o, .head = o->from};

	(void)unlink(path); /* what a crash left; never through a link */
	a.fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (a.fd < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	buf_init(&a.lines, LINES_MAX);
	enum err rc = write_records(&a, ei);
	if (rc == OK)
		rc = write_trailer(&a, ei);
	buf_fini(&a.lines);
	if (close(a.fd) != 0 && rc == OK)
		rc = ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	return rc;
}

/* What the disk gives back is what counts. */
static enum err
check_file(const struct archive_order *o, const char *path, struct errinfo *ei)
{
	const struct verify_options options = {.key = o->key, .expected = &o->to};
	struct verify_result result;
	struct source *s = NULL;
	enum err rc = source_open(path, SOURCE_SHARED, &s, ei);

	if (rc == OK)
		rc = verify_source(s, &options, &result, ei);
	source_free(&s);
	if (rc == OK && (!result.is_good || !result.is_trailer_signed ||
				result.anchor.seq != o->from.seq || result.head.seq != o->to.seq))
		rc = ERR(ei, ERR_IO, "the archive does not verify as it was written: %.150s",
			result.reason);
	return rc;
}

static enum err
sync_folder(const char *folder, struct errinfo *ei)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool is_synced = fd >= 0 && fsync(fd) == 0;
	int errnum = errno;

	if (fd >= 0)
		close(fd);
	return is_synced ? OK : ERR_ERRNO(ei, ERR_IO, errnum, "%s", folder);
}

/* What a crash left is whole, or it would not have its name. Anything else may be the only copy of what
 * another run of the chain was, before a backup was put back. */
static enum err
keep_file(const struct archive_order *o, const char *path, struct errinfo *ei)
{
	struct errinfo why;
	enum err rc = check_file(o, path, &why);

	if (rc == ERR_NOMEM)
		return ERR(ei, rc, "%s", why.msg);
	if (rc != OK)
		return ERR(ei, ERR_CONFLICT, "%s is there already and is another one; move it away",
			path);
	return sync_folder(o->folder, ei);
}

/* Its name is on the disk before any row leaves the ledger for it, whoever made it and whenever. */
static enum err
make_folder(const char *folder, struct errinfo *ei)
{
	char parent[ARCHIVE_PATH_MAX + sizeof("/..")];

	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", folder);
	snprintf(parent, sizeof(parent), "%s/..",
		folder); /* the folder's name may end with a slash */
	return sync_folder(parent, ei);
}

enum err
archive_write(const struct archive_order *o, char path[ARCHIVE_PATH_MAX], struct errinfo *ei)
{
	char partial[ARCHIVE_PATH_MAX + sizeof(PARTIAL)];
	int n = snprintf(path, ARCHIVE_PATH_MAX, "%s/%.*s-%0*" PRIu64 "-%0*" PRIu64 SUFFIX,
		o->folder, CHAIN_DIGITS, o->chain_id, SEQ_DIGITS, o->from.seq + 1, SEQ_DIGITS,
		o->to.seq);

	if (n < 0 || n >= ARCHIVE_PATH_MAX)
		return ERR(ei, ERR_INVALID, "the path of the archive is too long");
	snprintf(partial, sizeof(partial), "%s" PARTIAL, path);
	enum err rc = make_folder(o->folder, ei);
	if (rc != OK)
		return rc;
	if (access(path, F_OK) == 0)
		return keep_file(o, path, ei);
	rc = write_file(o, partial, ei);
	if (rc == OK)
		rc = check_file(o, partial, ei);
	if (rc == OK && rename(partial, path) != 0)
		rc = ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	if (rc != OK)
		(void)unlink(partial);
	return rc == OK ? sync_folder(o->folder, ei) : rc;
}

/* ---- finding ---- */

static bool
is_archive(const char *name, const char *chain_id)
{
	if (strlen(name) != NAME_LENGTH || strcmp(name + NAME_LENGTH - 6, SUFFIX) != 0)
		return false;
	for (size_t i = 0; i < NAME_LENGTH - 6; i++) {
		bool is_dash = i == CHAIN_DIGITS || i == CHAIN_DIGITS + 1 + SEQ_DIGITS;
		if (is_dash ? name[i] != '-' : isxdigit((unsigned char)name[i]) == 0)
			return false;
	}
	return chain_id[0] == '\0' || strncmp(name, chain_id, CHAIN_DIGITS) == 0;
}

static int
compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err
add_path(struct archive_list *l, const char *folder, const char *name, struct errinfo *ei)
{
	char path[ARCHIVE_PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s", folder, name);

	if (l->n >= ARCHIVE_LIST_MAX || n < 0 || (size_t)n >= sizeof(path))
		return ERR(ei, ERR_TOO_LARGE, "%s: too many archives, or too long a path", folder);
	char **grown = mem_realloc(l->paths, (l->n + 1) * sizeof(*grown));
	if (grown == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	l->paths = grown;
	l->paths[l->n] = mem_dup_cstr(path);
	if (l->paths[l->n] == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	l->n++;
	return OK;
}

enum err
archive_list_read(
	const char *folder, const char *chain_id, struct archive_list *out, struct errinfo *ei)
{
	enum err rc = OK;
	DIR *d = opendir(folder);

	*out = (struct archive_list){0};
	if (d == NULL)
		return ERR_ERRNO(ei, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", folder);
	for (struct dirent *e = readdir(d); rc == OK && e != NULL; e = readdir(d)) {
		if (is_archive(e->d_name, chain_id))
			rc = add_path(out, folder, e->d_name, ei);
	}
	closedir(d);
	if (out->n > 0)
		qsort(out->paths, out->n, sizeof(out->paths[0]), compare_paths);
	return rc;
}

void
archive_list_fini(struct archive_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(l->paths[i]);
	mem_free(l->paths);
	*l = (struct archive_list){0};
}
