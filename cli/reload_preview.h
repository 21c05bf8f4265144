/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a reload would change, for those who ask the running gateway. Cold; any thread. */
#ifndef CLI_RELOAD_PREVIEW_H
#define CLI_RELOAD_PREVIEW_H

#include "base/attr.h"
#include "base/err.h"

struct buf;
struct loaded_config;

/*
 * Reads the files anew as a reload does and compares them with what runs, whose policy has that hash. Appends one JSON object without a
 * line's end: the keys that differ and what each takes, both hashes, whether a reload would succeed. Names of keys; values of
 * numbers, switches and words alone, never a text, a path or a secret. Blocking. ERR_NOMEM; what is wrong with the files is in the answer.
 */
MUSTCHECK enum err reload_preview_build(const char *config, const char *bundle,
	const struct loaded_config *running, const char *running_hash, struct buf *out,
	struct errinfo *ei);

#endif
