/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a YAML document while it is read, and the merge key "<<". Private to base. */
#ifndef BASE_YAML_MERGE_H
#define BASE_YAML_MERGE_H

#include "base/attr.h"
#include "base/json.h"
#include "json_tree.h"

struct arena;

/*
 * json is the first member, so that a pointer to it is one to the whole. All nodes of a document
 * are such.
 */
struct yaml_node {
	struct json json;
	uint32_t key_line;
	uint32_t key_column;
	bool is_merge; /* the value of a plain "<<" */
};

/*
 * Takes the "<<" member out of the mapping's list and returns it, `sorted` being stale then; NULL
 * when there is none.
 */
const struct json *yaml_merge_take(struct json_frame *f);
/*
 * Appends to the mapping copies of the members of `from`, a mapping, whose names it has not yet,
 * and sorts again. False when the arena is full.
 */
MUSTCHECK bool yaml_merge_members(struct arena *a, struct json_frame *f, const struct json *from);

#endif
