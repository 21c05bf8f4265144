/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading the ends of a file of records. It never writes. Blocking; the thread that owns the file. */
#define _GNU_SOURCE /* memrchr */
#include "sink_file_tail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

/* More than any line has. */
#define WINDOW_BYTES ((size_t)4 * BUF_CAP_RECORD)

static enum err
read_at(int fd, uint64_t at, size_t n, struct buf *out, struct errinfo *ei)
{
	buf_reset(out);
	char *to = buf_reserve(out, n);
	if (to == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	while (n > 0) {
		ssize_t got = pread(fd, to, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got == 0 ? ERR(ei, ERR_IO, "it became shorter while it was read")
					: ERR_ERRNO(ei, ERR_IO, errno, "reading");
		buf_commit(out, (size_t)got);
		to += got;
		at += (uint64_t)got;
		n -= (size_t)got;
	}
	return OK;
}

static bool
read_line(struct span line, struct buf *body, struct chain_fields *f)
{
	struct span hash;

	buf_reset(body);
	return chain_parse_line(line, body, &hash) && hash.n == SHA256_HEX &&
	       chain_read_fields(buf_span(body), f) && f->chain_id.n == CHAIN_ID_HEX;
}

static enum err
read_end(struct span text, uint64_t before, const char *chain_id, struct sink_tail *out,
	struct errinfo *ei)
{
	const char *newline = text.n > 0 ? memrchr(text.p, '\n', text.n) : NULL;
	size_t whole = newline != NULL ? (size_t)(newline - text.p) + 1 : 0;
	struct chain_fields f;
	struct buf body;
	enum err rc = OK;

	/* Somebody else's file must not be cut. */
	if ((whole == 0 && before > 0) || (whole < text.n && text.p[whole] != '{'))
		return ERR(ei, ERR_INVALID, "it holds other things than records");
	out->whole = before + whole;
	if (whole == 0)
		return OK;
	const char *start = memrchr(text.p, '\n', whole - 1);
	size_t from = start != NULL ? (size_t)(start - text.p) + 1 : 0;
	buf_init(&body, WINDOW_BYTES);
	if (!read_line(span_of(text.p + from, whole - 1 - from), &body, &f))
		rc = buf_failed(&body) ? ERR(ei, ERR_NOMEM, "out of memory")
				       : ERR(ei, ERR_INVALID, "its last line is no record");
	else if (span_eq_cstr(f.chain_id, chain_id))
		out->seq = f.seq;
	buf_fini(&body);
	return rc;
}

static void
read_begin(struct span text, struct sink_tail *out)
{
	struct chain_fields f;
	struct buf body;

	buf_init(&body, WINDOW_BYTES);
	if (!read_line(span_of(text.p, span_find(text, '\n')), &body, &f) ||
		clock_parse(f.timestamp, &out->begun_wall_ns, NULL) != OK)
		out->begun_wall_ns = 0;
	buf_fini(&body);
}

enum err
sink_tail_read(
	int fd, uint64_t size, const char *chain_id, struct sink_tail *out, struct errinfo *ei)
{
	size_t n = size < WINDOW_BYTES ? (size_t)size : WINDOW_BYTES;
	struct buf text;

	*out = (struct sink_tail){.whole = 0};
	if (size == 0)
		return OK;
	buf_init(&text, WINDOW_BYTES + 1);
	enum err rc = read_at(fd, size - n, n, &text, ei);
	if (rc == OK)
		rc = read_end(buf_span(&text), size - n, chain_id, out, ei);
	if (rc == OK && size > n)
		rc = read_at(fd, 0, n, &text, ei);
	if (rc == OK)
		read_begin(buf_span(&text), out);
	buf_fini(&text);
	return rc;
}
