/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
#include "checkpoint_file.h"

#include "base/buf.h"
#include "base/fdio.h"

enum err
checkpoint_read_file(const char *path, size_t max,
	enum err (*parse)(struct span text, void *out, struct errinfo *ei), void *out,
	struct errinfo *ei)
{
	struct buf text;

	buf_init(&text, max);
	enum err rc = fdio_read_file(path, max, &text, ei);
	if (rc == OK) {
		rc = parse(span_trim(buf_span(&text)), out, ei);
		if (rc != OK)
			rc = ERR_WRAP(ei, rc, "%s", path);
	}
	buf_fini(&text);
	return rc;
}

enum err
checkpoint_write_file(const char *path, const struct buf *text, struct errinfo *ei)
{
	if (buf_failed(text))
		return ERR(ei, ERR_NOMEM, "out of memory");
	return fdio_write_file(path, buf_span(text), 0640, ei);
}
