/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The only file that knows zlib. Memory comes from zlib's own allocator: a call that has none says so. Any thread. */
#define _GNU_SOURCE /* O_CLOEXEC with strict C11 headers */
#include "base/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZLIB_CONST /* what is read is const */
#include <zlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/must.h"

#define WINDOW_GZIP (15 + 16)
#define MEMORY_LEVEL 8
#define READ_BYTES_MAX ((size_t)1 << 30)

static void *
take(void *unused, unsigned n, unsigned size)
{
	(void)unused;
	return mem_zalloc(n, size);
}

static void
give(void *unused, void *p)
{
	(void)unused;
	mem_free(p);
}

static enum err
deflate_all(z_stream *z, struct span data, struct buf *out, struct errinfo *ei)
{
	size_t most = deflateBound(z, (uLong)data.n);
	char *to = buf_reserve(out, most);

	if (to == NULL)
		return ERR(ei, ERR_TOO_LARGE, "%zu bytes do not fit", data.n);
	z->next_in = (const Bytef *)data.p;
	z->avail_in = (uInt)data.n;
	z->next_out = (Bytef *)to;
	z->avail_out = (uInt)most;
	if (deflate(z, Z_FINISH) != Z_STREAM_END)
		return ERR(ei, ERR_NOMEM, "gzip does not end");
	buf_commit(out, most - z->avail_out);
	return OK;
}

enum err
gzip_pack(struct span data, struct buf *out, struct errinfo *ei)
{
	z_stream z = {.zalloc = take, .zfree = give};

	MUST(data.n <= READ_BYTES_MAX);
	if (deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_GZIP, MEMORY_LEVEL,
		    Z_DEFAULT_STRATEGY) != Z_OK)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = deflate_all(&z, data, out, ei);
	(void)deflateEnd(&z);
	return rc;
}

/* ---- reading ---- */

#define INPUT_BYTES ((size_t)64 * 1024)
#define MAGIC_BYTES 4
/* What is torn is read again from its second byte: more often than this nobody's file is. */
#define TORN_MAX 64

struct gzip_file {
	int fd;
	bool is_at_end; /* of the file: the buffer has the rest of it */
	bool is_packed; /* z is inside a member */
	bool is_torn;   /* to be said with the next call */
	unsigned n_torn;
	off_t member_at; /* where the member begins that z is inside of */
	off_t input_at;  /* of input[0] */
	size_t at;       /* what is left of the buffer */
	size_t n;
	z_stream z;
	uint8_t input[INPUT_BYTES];
};

static enum err
check_regular(int fd, const char *path, struct errinfo *ei)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "%s", path);
	return S_ISREG(st.st_mode) ? OK : ERR(ei, ERR_INVALID, "%s is not a regular file", path);
}

enum err
gzip_open(const char *path, struct gzip_file **out, struct errinfo *ei)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct gzip_file *f = NULL;

	*out = NULL;
	if (fd < 0)
		return ERR_ERRNO(ei, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "%s", path);
	enum err rc = check_regular(fd, path, ei);
	if (rc == OK) {
		f = mem_zalloc(1, sizeof(*f));
		if (f == NULL)
			rc = ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (rc != OK) {
		(void)close(fd);
		return rc;
	}
	f->fd = fd;
	*out = f;
	return OK;
}

/* Puts more of the file behind what is left of the buffer. */
static enum err
fill(struct gzip_file *f, struct errinfo *ei)
{
	ssize_t got = 0;

	memmove(f->input, f->input + f->at, f->n - f->at);
	f->input_at += (off_t)f->at;
	f->n -= f->at;
	f->at = 0;
	do
		got = read(f->fd, f->input + f->n, sizeof(f->input) - f->n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "reading");
	f->is_at_end = got == 0;
	f->n += (size_t)got;
	return OK;
}

/* No text holds these bytes. */
static bool
is_magic(const uint8_t *p)
{
	return p[0] == 0x1f && p[1] == 0x8b && p[2] == Z_DEFLATED && (p[3] & 0xe0) == 0;
}

static enum err
begin_member(struct gzip_file *f, struct errinfo *ei)
{
	f->z = (z_stream){.zalloc = take, .zfree = give};
	if (inflateInit2(&f->z, WINDOW_GZIP) != Z_OK)
		return ERR(ei, ERR_NOMEM, "out of memory");
	f->is_packed = true;
	f->member_at = f->input_at + (off_t)f->at;
	return OK;
}

static void
end_member(struct gzip_file *f)
{
	if (f->is_packed)
		(void)inflateEnd(&f->z);
	f->is_packed = false;
}

/* Plain bytes up to where a member begins; none when one begins here, or at the end. */
static size_t
take_plain(struct gzip_file *f, char *to, size_t n)
{
	const uint8_t *from = f->input + f->at;
	/* Behind the last bytes there may be more of a magic. */
	size_t most = f->n - f->at - (f->is_at_end ? 0 : MAGIC_BYTES - 1);

	n = n < most ? n : most;
	for (const uint8_t *p = memchr(from, 0x1f, n); p != NULL;
		p = memchr(p + 1, 0x1f, n - (size_t)(p + 1 - from))) {
		if ((size_t)(f->input + f->n - p) >= MAGIC_BYTES && is_magic(p)) {
			n = (size_t)(p - from);
			break;
		}
	}
	memcpy(to, from, n);
	f->at += n;
	return n;
}

/* What is behind the begin of a torn member may be anything, whole members too. */
static enum err
skip_torn(struct gzip_file *f, struct errinfo *ei)
{
	off_t behind = f->member_at + 1;

	f->is_torn = false;
	f->at = f->n = 0;
	f->is_at_end = ++f->n_torn == TORN_MAX;
	f->input_at = behind;
	if (lseek(f->fd, f->is_at_end ? 0 : behind, f->is_at_end ? SEEK_END : SEEK_SET) < 0)
		return ERR_ERRNO(ei, ERR_IO, errno, "reading");
	return ERR(ei, ERR_CORRUPT, "the packed bytes are not whole");
}

static enum err
take_packed(struct gzip_file *f, char *to, size_t n, size_t *got, struct errinfo *ei)
{
	f->z.next_in = f->input + f->at;
	f->z.avail_in = (uInt)(f->n - f->at);
	f->z.next_out = (Bytef *)to;
	f->z.avail_out = (uInt)n;
	int rc = inflate(&f->z, Z_NO_FLUSH);
	f->at = f->n - f->z.avail_in;
	*got = n - f->z.avail_out;
	if (rc == Z_MEM_ERROR)
		return ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == Z_OK || (rc == Z_BUF_ERROR && !f->is_at_end))
		return OK;
	f->is_torn = rc != Z_STREAM_END;
	end_member(f);
	return OK;
}

enum err
gzip_read(struct gzip_file *f, char *to, size_t n, size_t *got, struct errinfo *ei)
{
	enum err rc = OK;

	*got = 0;
	MUST(n > 0 && n <= READ_BYTES_MAX);
	while (rc == OK && *got == 0) {
		if (f->is_torn)
			return skip_torn(f, ei);
		if (f->n - f->at < MAGIC_BYTES && !f->is_at_end) {
			rc = fill(f, ei);
			continue;
		}
		if (f->is_packed) {
			rc = take_packed(f, to, n, got, ei);
			continue;
		}
		*got = take_plain(f, to, n);
		if (*got == 0 && f->at == f->n)
			break;
		if (*got == 0)
			rc = begin_member(f, ei);
	}
	return rc;
}

void
gzip_close(struct gzip_file **f)
{
	if (*f == NULL)
		return;
	end_member(*f);
	(void)close((*f)->fd);
	mem_free(*f);
	*f = NULL;
}
