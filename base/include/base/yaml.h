/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.1 (libyaml events) into the JSON tree, strictly: duplicate keys, second documents, nulls
 * in lists, tags and their directives, merge of anything but mappings, unknown anchors and too many aliases are refused.
 * Pure; any thread.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/attr.h"
#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

/*
 * Scalars get their type as Go's yaml.v3 gives it to untyped values: plain true/false/null/~,
 * integers (decimal, 0x, 0o, 0b and 0 as octal; kept as decimal text), floats (text, in JSON's
 * grammar), everything else a string, dates, .inf and .nan too; quoted scalars are strings. The
 * plain text of a scalar is always in `source`, so that a caller who wants a string can take it
 * (yes, 1.5, on). Keys are scalars; their plain text is the name. A node reached through an alias
 * is a copy with the place of the alias that shares its children; a plain "<<" merges mappings.
 * Bounds: depth 32, 1,024 anchors, 1,024 aliases that stand for 65,536 nodes in all; the arena
 * takes at most about 70 bytes per byte of text. line and column of every node are set; columns
 * count characters here. `file` is only used in messages: "file:line:column: text". ERR_PARSE;
 * ERR_TOO_LARGE for the arena.
 */
MUSTCHECK enum err yaml_parse(struct span text, const char *file, struct arena *a,
	const struct json **out, struct errinfo *ei);
/*
 * The same for callers that word some errors themselves: *je (may be NULL) tells an empty document
 * (JSON_FAULT_EMPTY), a second one (JSON_FAULT_TRAILING), a duplicate key and so on, and the path;
 * its offset is always 0.
 */
MUSTCHECK enum err yaml_parse_detailed(struct span text, const char *file, struct arena *a,
	const struct json **out, struct json_error *je, struct errinfo *ei);

#endif
