/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The merge key: what a mapping says itself comes before what it merges, and of several merged
 * mappings the first one that has a key wins. Copies share what lies below them. Pure; any thread.
 */
#include "yaml_merge.h"

#include "base/arena.h"

const struct json *
yaml_merge_take(struct json_frame *f)
{
	struct json **link = &f->node->first;

	f->tail = NULL;
	while (*link != NULL && !((struct yaml_node *)*link)->is_merge) {
		f->tail = *link;
		link = &(*link)->next;
	}
	const struct json *merge = *link;
	if (merge == NULL)
		return NULL;
	*link = merge->next;
	f->node->n--;
	for (struct json *m = *link; m != NULL; m = m->next)
		f->tail = m;
	return merge;
}

bool
yaml_merge_members(struct arena *a, struct json_frame *f, const struct json *from)
{
	/*
	 * What was there before this call, so that lookups do not see the copies that are not
	 * sorted yet.
	 */
	const struct json known = *f->node;
	const struct json *twin;

	for (const struct json *m = from->first; m != NULL; m = m->next) {
		if (json_find(&known, m->name) != NULL)
			continue;
		struct yaml_node *copy = ARENA_NEW(a, struct yaml_node);
		if (copy == NULL)
			return false;
		*copy = *(const struct yaml_node *)m;
		copy->json.next = NULL;
		json_tree_link(f, &copy->json);
	}
	f->child = NULL;
	return json_tree_sort(a, f->node, &twin);
}
