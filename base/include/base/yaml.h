/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML 1.1 (libyaml events) into the JSON tree, strictly: duplicate keys, second documents, nulls in lists, tags,
 * merge of anything but mappings, unknown anchors and too many aliases are refused. Pure; any thread.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "base/attr.h"
#include "base/err.h"
#include "base/json.h"
#include "base/span.h"

/*
 * Scalars get their type as Go's yaml.v3 gives it to untyped values: plain true/false/null/~, integers (decimal, 0x, 0o;
 * kept as decimal text), floats (text), everything else a string; quoted scalars are strings. The plain text of
 * a scalar is always in `source`, so that a caller who wants a string can take it (yes, 1.5, on).
 * line and column of every node are set. `file` is only used in messages: "file:line:column: text".
 * ERR_PARSE; ERR_TOO_LARGE for the arena.
 */
MUSTCHECK enum err yaml_parse(struct span text, const char *file, struct arena *a,
	const struct json **out, struct errinfo *ei);

#endif
