/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and tables into text. A dump read again and dumped again is the same text; secrets come
 * out as "(secret)", map names as "(secret 000001)", which config_load refuses unless told to
 * accept it: a dump never becomes a configuration with known secrets. Pure; any thread.
 */
#ifndef CONFIG_PRINT_H
#define CONFIG_PRINT_H

#include "config/table.h"

struct buf;
struct config_change;

/*
 * What one change (config_compare) is, on one line without its end: `5 -> 6`; of maps and lists what came (+), went (-)
 * and is another (~), so far as names tell. Of secrets only that they changed.
 */
void config_print_change(const struct config_change *change, struct buf *out);

/* The effective configuration, ends with a newline. Keys of parts not built are left out. */
void config_dump_yaml(const struct config_object *root, const void *options, struct buf *out);
void config_dump_json(const struct config_object *root, const void *options, struct buf *out);
/* The reference in Markdown: one table per object, with type, default, range, environment, reload
 * and prose. */
void config_doc(const struct config_object *root, struct buf *out);
/* A YAML file that lists every key that is built with its prose and default, commented out where it
 * has one. */
void config_example(const struct config_object *root, struct buf *out);
/* JSON Schema 2020-12 of the file. */
void config_schema(const struct config_object *root, const char *title, struct buf *out);

/*
 * Faults of the tables themselves (a default outside its range, no prose, a sibling that does not
 * exist, an environment name used twice), one line each; nothing when they are sound. For tests of
 * the modules that own them.
 */
void config_verify(const struct config_object *root, struct buf *out);

#endif
