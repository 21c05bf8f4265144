/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One YAML document while it is read: yaml.c drives libyaml, yaml_tree.c makes nodes of its events. */
#ifndef BASE_YAML_READER_H
#define BASE_YAML_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <yaml.h>

#include "base/attr.h"
#include "base/json.h"
#include "base/span.h"
#include "json_tree.h"

struct arena;

#define YAML_MESSAGE_MAX 256

struct yaml_anchor {
	struct yaml_anchor *next;
	struct span name;
	const struct json *node;
};

/* The key of an open mapping whose value has not begun. */
struct yaml_key {
	struct span text;
	uint32_t line;
	uint32_t column;
	bool is_set;
	bool is_merge;
};

enum yaml_phase { PHASE_BEFORE = 0, PHASE_INSIDE, PHASE_AFTER };

struct yaml_reader {
	yaml_parser_t parser;
	struct arena *arena;
	struct span text;
	struct json_stack open;
	struct yaml_key keys[JSON_DEPTH_MAX];
	struct json *root;
	struct yaml_anchor *anchors; /* the latest first, since a name can be given again */
	size_t n_anchors;
	size_t n_aliases;
	size_t n_expanded;
	enum yaml_phase phase;
	bool is_done;
	/* What went wrong and where. */
	enum json_fault fault;
	uint32_t line;
	uint32_t column;
	char message[YAML_MESSAGE_MAX];
};

/* Notes what went wrong and where. Always false. */
bool yaml_fail(struct yaml_reader *r, enum json_fault fault, yaml_mark_t at, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
bool yaml_fail_memory(struct yaml_reader *r, yaml_mark_t at);

/* Takes one event into the tree; false when it may not stand there. */
MUSTCHECK bool yaml_read_event(struct yaml_reader *r, const yaml_event_t *e);

#endif
