/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Appending to a file that others may move away, fill up or cut. A line that could not be written whole is taken back;
 * nothing counts as taken before it is on the disk. It must never write to another file than its own, nor follow a
 * symbolic link. The sink's thread; resume before it runs.
 */
#define _GNU_SOURCE /* O_NOFOLLOW, flock */
#include "audit/sink_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/chain.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fdio.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/must.h"
#include "sink_file_tail.h"

#define SINK_FILE_MAGIC 0x5346494cu
#define KEEP_DIGITS 12 /* a dot and a number */
/* Lines are handed to the file system in pieces of about this. */
#define WRITE_BYTES ((size_t)128 * 1024)

struct sink_file {
	struct sink sink; /* first */
	unsigned magic;
	struct sink_file_options o;
	char path[PATH_MAX];
	char name[32]; /* "file:" and 16 digits of the path's hash */
	char chain_id[CHAIN_ID_HEX + 1];
	int fd;         /* -1: not open */
	int open_errno; /* of the last try */
	dev_t device;
	ino_t inode;
	int64_t begun_wall_ns; /* time of the first record; 0: there is none */
	uint64_t size;         /* whole lines */
	uint64_t last_seq; /* of this chain that are in the file, or were before it was rotated */
	uint64_t synced_size; /* the same of what is on the disk */
	uint64_t synced_seq;
	struct buf line;
	struct buf lines; /* not written yet */
	uint64_t lines_seq;
};

static struct sink_file *
file_of(struct sink *s)
{
	struct sink_file *f = (struct sink_file *)(void *)s;

	OBJ_CHECK(f, SINK_FILE_MAGIC);
	return f;
}

/* ---- opening ---- */

static void
close_file(struct sink_file *f)
{
	if (f->fd >= 0)
		(void)close(f->fd);
	f->fd = -1;
}

/* The name of a rotated file; 0 is the file itself. */
static void
rotated_name(const struct sink_file *f, unsigned number, char out[PATH_MAX])
{
	if (number == 0)
		snprintf(out, PATH_MAX, "%s", f->path);
	else
		snprintf(out, PATH_MAX, "%.*s.%u", PATH_MAX - KEEP_DIGITS, f->path, number);
}

/* Between two names of a rotation, the last record is in the file before. */
static uint64_t
read_rotated(const struct sink_file *f)
{
	char name[PATH_MAX];
	struct sink_tail tail = {.whole = 0};
	struct stat st;

	rotated_name(f, 1, name);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
		sink_tail_read(fd, (uint64_t)st.st_size, f->chain_id, &tail, NULL) != OK)
		tail.seq = 0;
	(void)close(fd);
	return tail.seq;
}

static enum err
take_over(struct sink_file *f, const struct stat *st, struct errinfo *ei)
{
	struct sink_tail tail;

	if (!S_ISREG(st->st_mode))
		return ERR(ei, ERR_INVALID, "%s is not a regular file", f->path);
	if (flock(f->fd, LOCK_EX | LOCK_NB) != 0)
		return ERR(ei, ERR_BUSY, "%s: another process writes to it", f->path);
	enum err rc = sink_tail_read(f->fd, (uint64_t)st->st_size, f->chain_id, &tail, ei);
	if (rc != OK)
		return ERR_WRAP(ei, rc, "%s", f->path);
	if (tail.whole < (uint64_t)st->st_size && ftruncate(f->fd, (off_t)tail.whole) != 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", f->path);
	/* What was written before this process may not be on the disk yet. */
	if (tail.whole > 0 && fdatasync(f->fd) != 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", f->path);
	f->device = st->st_dev;
	f->inode = st->st_ino;
	f->size = tail.whole;
	f->synced_size = tail.whole;
	f->begun_wall_ns = tail.begun_wall_ns;
	/* What was in a file that is gone is not written again. */
	f->last_seq = tail.seq > 0 ? tail.seq : f->synced_seq;
	if (f->last_seq == 0 && tail.whole == 0)
		f->last_seq = read_rotated(f);
	f->synced_seq = f->last_seq;
	return OK;
}

static enum err
open_file(struct sink_file *f, struct errinfo *ei)
{
	struct stat st;
	struct errinfo why;

	f->fd = open(
		f->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	f->open_errno = f->fd < 0 ? errno : 0;
	if (f->fd < 0)
		return ERR_ERRNO(ei, errno == ELOOP ? ERR_INVALID : ERR_IO, errno, "%s", f->path);
	enum err rc = fstat(f->fd, &st) == 0 ? take_over(f, &st, ei)
					     : ERR_ERRNO(ei, ERR_IO, errno, "%s", f->path);
	if (rc == OK && st.st_size == 0 && fdio_sync_folder(f->path, &why) != OK)
		rc = ERR(ei, ERR_IO, "%s", why.msg);
	if (rc != OK)
		close_file(f);
	return rc;
}

/* Whether the open file is the one at the path. */
static bool
is_in_place(const struct sink_file *f)
{
	struct stat st;

	return lstat(f->path, &st) == 0 && st.st_dev == f->device && st.st_ino == f->inode;
}

/* Somebody may have cut it short (copytruncate). */
static enum err
look_at_size(struct sink_file *f, struct errinfo *ei)
{
	struct stat st;

	if (fstat(f->fd, &st) != 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", f->path);
	if ((uint64_t)st.st_size == f->size)
		return OK;
	close_file(f);
	return open_file(f, ei);
}

static enum err
have_file(struct sink_file *f, struct errinfo *ei)
{
	if (f->fd >= 0 && !is_in_place(f)) {
		log_info(NULL, "audit sink %s: the file was moved away, a new one is begun",
			f->name);
		close_file(f);
	}
	return f->fd < 0 ? open_file(f, ei) : look_at_size(f, ei);
}

/* ---- writing ---- */

/* Back to what is whole for certain; a file that cannot be cut is opened anew, which looks at its end. */
static void
take_back(struct sink_file *f, uint64_t size)
{
	if (ftruncate(f->fd, (off_t)size) != 0)
		close_file(f);
}

static enum err
sync_file(struct sink_file *f, struct errinfo *ei)
{
	if (f->synced_seq == f->last_seq && f->synced_size == f->size)
		return OK;
	if (fdatasync(f->fd) != 0) {
		enum err rc = ERR_ERRNO(ei, ERR_IO, errno, "%s", f->path);
		/* The kernel may have dropped what it could not write. */
		take_back(f, f->synced_size);
		f->size = f->synced_size;
		f->last_seq = f->synced_seq;
		return rc;
	}
	f->synced_size = f->size;
	f->synced_seq = f->last_seq;
	return OK;
}

static enum err
write_lines(struct sink_file *f, struct errinfo *ei)
{
	if (f->lines.n == 0)
		return OK;
	enum err rc = fdio_write_all(f->fd, buf_span(&f->lines), ei);
	if (rc == OK) {
		f->size += f->lines.n;
		f->last_seq = f->lines_seq;
	} else {
		take_back(f, f->size);
		rc = ERR_WRAP(ei, rc, "%s", f->path);
	}
	buf_reset(&f->lines);
	return rc;
}

/* ---- rotation ---- */

static enum err
rotate(struct sink_file *f, struct errinfo *ei)
{
	char from[PATH_MAX];
	char to[PATH_MAX];
	enum err rc = write_lines(f, ei);

	if (rc == OK)
		rc = sync_file(f, ei);
	for (unsigned i = f->o.keep; rc == OK && i > 0; i--) {
		rotated_name(f, i - 1, from);
		rotated_name(f, i, to);
		if (rename(from, to) != 0 && errno != ENOENT)
			rc = ERR_ERRNO(ei, ERR_IO, errno, "%s", to);
	}
	if (rc == OK)
		rc = fdio_sync_folder(f->path, ei);
	if (rc != OK)
		return rc;
	close_file(f);
	return open_file(f, ei);
}

static bool
is_old(const struct sink_file *f)
{
	return f->o.max_age_s > 0 && f->size > 0 && f->begun_wall_ns > 0 &&
	       (clock_wall_ns() - f->begun_wall_ns) / NS_PER_SEC >= (int64_t)f->o.max_age_s;
}

static bool
is_full(const struct sink_file *f, size_t n_more)
{
	uint64_t n = f->size + f->lines.n;

	return f->o.max_bytes > 0 && n > 0 && n + n_more > f->o.max_bytes;
}

static enum err
add_record(struct sink_file *f, const struct sink_record *r, struct errinfo *ei)
{
	struct chain_fields fields;

	buf_reset(&f->line);
	if (!chain_build_line(r->body, r->event_hash, &f->line))
		return ERR(ei, ERR_CORRUPT, "record %llu is malformed", (unsigned long long)r->seq);
	buf_add_char(&f->line, '\n');
	enum err rc = is_full(f, f->line.n) ? rotate(f, ei) : OK;
	if (rc != OK)
		return rc;
	buf_add_span(&f->lines, buf_span(&f->line));
	if (buf_failed(&f->line) || buf_failed(&f->lines)) {
		buf_reset(&f->lines);
		return ERR(ei, ERR_NOMEM, "out of memory");
	}
	f->lines_seq = r->seq;
	if (f->begun_wall_ns == 0 && chain_read_fields(r->body, &fields) &&
		clock_parse(fields.timestamp, &f->begun_wall_ns, NULL) != OK)
		f->begun_wall_ns = 0;
	return f->lines.n >= WRITE_BYTES ? write_lines(f, ei) : OK;
}

static enum err
append(struct sink_file *f, const struct sink_record *r, size_t n, struct errinfo *ei)
{
	enum err rc = have_file(f, ei);

	buf_reset(&f->lines);
	if (rc == OK && is_old(f))
		rc = rotate(f, ei);
	for (size_t i = 0; rc == OK && i < n; i++) {
		/* It is there already: a kill came between the file and the cursor. */
		if (r[i].seq > f->last_seq)
			rc = add_record(f, &r[i], ei);
	}
	if (rc == OK)
		rc = write_lines(f, ei);
	/* What could be written is kept, also when a later line could not. */
	if (f->fd >= 0) {
		enum err sync_rc = sync_file(f, rc == OK ? ei : NULL);
		rc = rc == OK ? sync_rc : rc;
	}
	return rc;
}

static enum err
deliver(struct sink *sink, const struct sink_record *r, size_t n, size_t *n_taken,
	struct errinfo *ei)
{
	struct sink_file *f = file_of(sink);
	enum err rc = FAULT_AROUND(SINK_DELIVER, ei, append(f, r, n, ei));

	while (*n_taken < n && r[*n_taken].seq <= f->synced_seq)
		++*n_taken;
	/* Only a receiver can refuse a record for good. */
	return rc == ERR_INVALID ? ERR_IO : rc;
}

static bool
may_pass(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == EMFILE || errnum == ENFILE;
}

static enum err
resume(struct sink *sink, const char *chain_id, uint64_t *seq, struct errinfo *ei)
{
	struct sink_file *f = file_of(sink);

	snprintf(f->chain_id, sizeof(f->chain_id), "%s", chain_id);
	enum err rc = open_file(f, ei);
	if (rc == ERR_IO && may_pass(f->open_errno)) {
		log_warn(NULL, "audit sink %s: %s; it will be tried again", f->name,
			ei != NULL ? ei->msg : "");
		return OK;
	}
	if (rc == OK && f->last_seq > 0)
		*seq = f->last_seq;
	return rc;
}

static void
free_file(struct sink *sink)
{
	struct sink_file *f = file_of(sink);

	close_file(f);
	buf_fini(&f->line);
	buf_fini(&f->lines);
	f->magic = 0;
	mem_free(f);
}

static const struct sink_ops ops = {.deliver = deliver, .resume = resume, .free = free_file};

enum err
sink_file_new(const struct sink_file_options *o, struct sink **out, struct errinfo *ei)
{
	char hex[SHA256_HEX + 1];
	size_t n = strlen(o->path);

	*out = NULL;
	MUST(o->keep >= 1);
	if (n == 0 || n >= PATH_MAX - KEEP_DIGITS)
		return ERR(ei, ERR_INVALID, "file: needs a path of up to %d bytes",
			PATH_MAX - KEEP_DIGITS - 1);
	struct sink_file *f = mem_zalloc(1, sizeof(*f));
	if (f == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	memcpy(f->path, o->path, n + 1);
	hash_sha256_hex(span_cstr(f->path), hex);
	snprintf(f->name, sizeof(f->name), "file:%.16s", hex);
	f->magic = SINK_FILE_MAGIC;
	f->o = *o;
	f->o.path = f->path;
	f->fd = -1;
	f->sink = (struct sink){.ops = &ops, .name = f->name, .target = f->path};
	buf_init(&f->line, 2 * (size_t)BUF_CAP_RECORD);
	buf_init(&f->lines, WRITE_BYTES + 3 * (size_t)BUF_CAP_RECORD);
	*out = &f->sink;
	return OK;
}
