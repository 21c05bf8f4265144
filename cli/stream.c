/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading stdin to its end and writing stdout to its end; a cut of either is an error, never
 * silence. One thread. */
#include "stream.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
#include "base/utf8.h"
#include "base/visible.h"
#include "command.h"

#define CHUNK 4096

static enum err
read_stdin(size_t max, struct buf *out, struct errinfo *ei)
{
	size_t begin = out->n;

	for (;;) {
		char *room = buf_reserve(out, CHUNK);
		if (room == NULL)
			return ERR(ei, ERR_TOO_LARGE, "stdin is longer than %zu bytes", max);
		ssize_t n = read(STDIN_FILENO, room, CHUNK);
		if (n == 0)
			return OK;
		if (n < 0 && errno != EINTR)
			return ERR_ERRNO(ei, ERR_IO, errno, "stdin");
		if (n > 0)
			buf_commit(out, (size_t)n);
		if (out->n - begin > max)
			return ERR(ei, ERR_TOO_LARGE, "stdin is longer than %zu bytes", max);
	}
}

enum err
stream_read(const char *path, size_t max, struct buf *out, struct errinfo *ei)
{
	if (strcmp(path, "-") == 0)
		return read_stdin(max, out, ei);
	return fdio_read_file(path, max, out, ei);
}

void
stream_add_visible(struct buf *out, struct span text)
{
	size_t at = 0;

	while (at < text.n) {
		uint32_t c = utf8_next(text, &at);

		if (visible_is_hidden(c) && c != '\n' && c != '\t')
			buf_printf(out, "\\u{%x}", (unsigned)c);
		else
			utf8_put(out, c);
	}
}

int
stream_print(struct span text)
{
	if (fwrite(text.p, 1, text.n, stdout) != text.n || fflush(stdout) != 0)
		return command_fail("cannot write to stdout: %s", strerror(errno));
	return EXIT_DONE;
}

int
stream_print_buf(const struct buf *b)
{
	return buf_failed(b) ? command_fail("out of memory") : stream_print(buf_span(b));
}
