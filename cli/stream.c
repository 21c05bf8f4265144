/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading stdin to its end and writing stdout to its end; a cut of either is an error, never
 * silence. One thread. */
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fdio.h"
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
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		unsigned char next = i + 1 < text.n ? (unsigned char)text.p[i + 1] : 0;
		bool is_c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f;

		if (is_c1 || c == 0x7f || (c < 0x20 && c != '\n' && c != '\t'))
			buf_add_char(out, '?');
		else
			buf_add_char(out, (char)c);
		i += is_c1 ? 1 : 0;
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
