/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the JSON parser and the YAML reader share: the stack of open containers, linking of
 * children, the sorted member array with its search for duplicates, and the path of the place being
 * read. Private to base. Pure.
 */
#ifndef BASE_JSON_TREE_H
#define BASE_JSON_TREE_H

#include "base/attr.h"
#include "base/json.h"

struct arena;

/* An open array or object. */
struct json_frame {
	struct json *node;
	struct json *tail;  /* its last child, NULL while it has none */
	struct json *child; /* the child being read, NULL between two children */
};

struct json_stack {
	struct json_frame frames[JSON_DEPTH_MAX];
	size_t n;
};

/* Appends child to the open container. */
void json_tree_link(struct json_frame *f, struct json *child);
/*
 * Fills o->sorted. When two members have one name *twin is set to the later one of the pair whose
 * later one comes first in the source, else to NULL. False when the arena is full.
 */
MUSTCHECK bool json_tree_sort(struct arena *a, struct json *o, const struct json **twin);
/* Index in o->sorted of the first member whose name is not below name; o->n when there is none. */
size_t json_tree_lower_bound(const struct json *o, struct span name);
/*
 * Writes "$.a[3]" of size bytes at most, NUL included, cut when longer. Odd names come quoted and
 * escaped.
 */
void json_tree_path(const struct json_stack *s, char *out, size_t size);
/*
 * Appends a printable form of name to out, at most `size` bytes with the NUL, always
 * NUL-terminated.
 */
void json_tree_show(struct span name, char *out, size_t size);

#endif
