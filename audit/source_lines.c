/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of an export, in the file's order. What a line says is not believed: one that is no record is shown as such. Blocking.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "audit/trailer.h"
#include "source_priv.h"

#define READ_CHUNK 65536

struct line_reader {
	struct buf chunk;
	size_t at;     /* first byte of the chunk that was not taken */
	uint64_t line; /* number of the line taken last */
};

/* Fills s->line with the next line, without its newline; false at the end of the file. */
static enum err
read_line(struct source *s, struct line_reader *in, bool *has_line, struct errinfo *ei)
{
	*has_line = false;
	buf_reset(&s->line);
	for (;;) {
		struct span rest = span_from(buf_span(&in->chunk), in->at);
		size_t end = span_find(rest, '\n');
		if (end > SOURCE_LINE_BYTES_MAX - s->line.n)
			return ERR(ei, ERR_TOO_LARGE, "line %llu is longer than any record",
				(unsigned long long)in->line + 1);
		buf_add(&s->line, rest.p, end);
		if (buf_failed(&s->line))
			return ERR(ei, ERR_NOMEM, "out of memory");
		if (end < rest.n) {
			in->at += end + 1;
			*has_line = true;
			break;
		}
		buf_reset(&in->chunk);
		in->at = 0;
		char *room = buf_reserve(&in->chunk, READ_CHUNK);
		if (room == NULL)
			return ERR(ei, ERR_NOMEM, "out of memory");
		ssize_t n = read(s->fd, room, READ_CHUNK);
		if (n < 0 && errno != EINTR)
			return ERR(ei, ERR_IO, "read: %s", strerror(errno));
		if (n == 0) {
			*has_line = s->line.n > 0;
			break;
		}
		buf_commit(&in->chunk, n > 0 ? (size_t)n : 0);
	}
	if (*has_line)
		in->line++;
	return OK;
}

static bool
visit_line(struct source *s, uint64_t line, uint64_t after, source_visit_fn visit, void *arg)
{
	struct source_record r = {.line = line, .body = buf_span(&s->line)};
	struct chain_fields fields;

	/* A trailer counts only as the last line. */
	if (s->trailer.n > 0) {
		r.is_malformed = true;
		r.is_behind_trailer = true;
		return visit(&r, arg);
	}
	if (trailer_is_line(buf_span(&s->line))) {
		buf_add_span(&s->trailer, buf_span(&s->line));
		return true;
	}
	buf_reset(&s->body);
	r.is_malformed = !chain_parse_line(buf_span(&s->line), &s->body, &r.hash) ||
			 buf_failed(&s->body) || !chain_read_fields(buf_span(&s->body), &fields);
	if (!r.is_malformed) {
		r.body = buf_span(&s->body);
		r.seq = fields.seq;
		if (r.seq <= after && after > 0)
			return true;
	}
	return visit(&r, arg);
}

enum err
source_each_line(
	struct source *s, uint64_t after, source_visit_fn visit, void *arg, struct errinfo *ei)
{
	struct line_reader in = {.at = 0};
	bool has_line = true;
	enum err rc = OK;

	buf_reset(&s->trailer);
	if (lseek(s->fd, 0, SEEK_SET) != 0)
		return ERR(ei, ERR_IO, "read: %s", strerror(errno));
	buf_init(&in.chunk, READ_CHUNK + 1);
	while (rc == OK && has_line) {
		rc = read_line(s, &in, &has_line, ei);
		if (rc == OK && has_line && !visit_line(s, in.line, after, visit, arg))
			break;
	}
	buf_fini(&in.chunk);
	return rc == OK && buf_failed(&s->trailer) ? ERR(ei, ERR_NOMEM, "out of memory") : rc;
}
