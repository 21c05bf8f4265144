/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file of the engine that touches the file system: the text of a configuration and the
 * folder its relative paths start at. Start-up and reload, never on a loop.
 */
#include "config/load.h"

#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"

#define CWD_BYTES_MAX 4096

enum err
config_read(const char *path, struct buf *text, struct errinfo *ei)
{
	buf_init(text, CONFIG_FILE_BYTES_MAX);
	enum err rc = fdio_read_file(path, CONFIG_FILE_BYTES_MAX, text, ei);
	if (rc != OK) {
		config_wipe_text(text);
		return ERR_WRAP(ei, rc, "read config");
	}
	return OK;
}

const char *
config_folder(const char *file, struct arena *a)
{
	char cwd[CWD_BYTES_MAX];
	struct span folder = span_cstr(file);

	while (folder.n > 0 && folder.p[folder.n - 1] != '/')
		folder.n--;
	if (folder.n > 0 && folder.p[0] == '/')
		return fdio_join(a, "/", folder);
	if (getcwd(cwd, sizeof(cwd)) == NULL)
		return NULL;
	return folder.n > 0 ? fdio_join(a, cwd, folder) : arena_dup_cstr(a, span_cstr(cwd));
}
