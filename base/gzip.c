/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The only file that knows zlib. Memory comes from zlib's own allocator: a call that has none says so. Any thread. */
#define _GNU_SOURCE /* O_CLOEXEC with strict C11 headers */
#include "base/gzip.h"

#include <errno.h>
#include <fcntl.h>
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

struct gzip_file {
	gzFile file;
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
		if (f != NULL)
			f->file = gzdopen(fd, "rb");
		if (f == NULL || f->file == NULL)
			rc = ERR(ei, ERR_NOMEM, "out of memory");
	}
	if (rc != OK) {
		(void)close(fd);
		mem_free(f);
		return rc;
	}
	*out = f;
	return OK;
}

enum err
gzip_read(struct gzip_file *f, char *to, size_t n, size_t *got, struct errinfo *ei)
{
	int code = Z_OK;

	*got = 0;
	MUST(n <= READ_BYTES_MAX);
	int done = gzread(f->file, to, (unsigned)n);
	(void)gzerror(f->file, &code);
	if (done < 0 || (done == 0 && code == Z_BUF_ERROR))
		return code == Z_ERRNO ? ERR_ERRNO(ei, ERR_IO, errno, "reading")
				       : ERR(ei, ERR_CORRUPT, "the packed bytes are not whole");
	*got = (size_t)done;
	return OK;
}

void
gzip_close(struct gzip_file **f)
{
	if (*f == NULL)
		return;
	(void)gzclose((*f)->file);
	mem_free(*f);
	*f = NULL;
}
