/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole configuration: the sections of runtime/ and pipeline/ in one root table, and the one way in which every command
 * reads a file: decode, environment, overrides, checks, every error printed. Cold; one thread (reload: a pool thread).
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "base/err.h"
#include "config/load.h"
#include "pipeline/options.h"
#include "runtime/options.h"

struct arena;

#define NOMOS_SECTIONS(ROW, T)                                                                     \
	RUNTIME_SECTIONS(ROW, T)                                                                   \
	PIPELINE_SECTIONS(ROW, T)

struct nomos_options {
	NOMOS_SECTIONS(CONFIG_MEMBER, nomos_options)
};

extern const struct config_object nomos_options_config;

/* One configuration as read; secrets are wiped by loaded_config_free. */
struct loaded_config {
	struct arena *arena;
	struct nomos_options options;
	struct config_report report;
};

/*
 * Reads `path` (a file, as the operator gave it) with the process environment; bundle, when not NULL, replaces the whole list of
 * policy bundles (-p). Messages start with "load config: ". On failure *out holds the report only; free it all the same.
 */
MUSTCHECK enum err loaded_config_read(
	const char *path, const char *bundle, struct loaded_config **out, struct errinfo *ei);
void loaded_config_free(struct loaded_config **c);
/* Prints errors, warnings and notes as log lines; none for NULL. */
void loaded_config_print(const struct loaded_config *c);
/* What pipeline/ needs of it; pointers are shared with c. */
void loaded_config_pipeline(const struct loaded_config *c, struct pipeline_options *out);

#endif
