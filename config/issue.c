/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The errors and notes of one load or diff: a bounded list, errors first, in the order of the file.
 * Keeps counting errors that it has no room for. One thread.
 */
#include "engine.h"

#include "base/arena.h"

void
issue_list_init(struct issue_list *l, struct arena *a)
{
	*l = (struct issue_list){.arena = a};
	l->v = ARENA_ARRAY(a, struct config_issue, CONFIG_ERRORS_MAX + CONFIG_NOTES_MAX);
}

void
issue_add(struct issue_list *l, enum config_level level, const struct json *node, struct span text)
{
	if (level == CONFIG_ERROR)
		l->n_errors++;
	if (l->v == NULL || text.p == NULL)
		return;
	size_t *kept = level == CONFIG_ERROR ? &l->n_kept_errors : &l->n_kept_notes;
	if (*kept == (level == CONFIG_ERROR ? CONFIG_ERRORS_MAX : CONFIG_NOTES_MAX))
		return;
	l->v[l->n_kept_errors + l->n_kept_notes] = (struct config_issue){
		.level = level,
		.line = node != NULL ? node->line : 0,
		.column = node != NULL ? node->column : 0,
		.text = text,
	};
	(*kept)++;
}

static bool
is_before(const struct config_issue *a, const struct config_issue *b)
{
	if ((a->level == CONFIG_ERROR) != (b->level == CONFIG_ERROR))
		return a->level == CONFIG_ERROR;
	if (a->line != b->line)
		return a->line < b->line;
	return a->column < b->column;
}

/* Insertion: at most 60 entries, and equal places keep the order of the table. */
static void
sort_issues(struct config_issue *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct config_issue x = v[i];
		size_t at = i;
		while (at > 0 && is_before(&x, &v[at - 1])) {
			v[at] = v[at - 1];
			at--;
		}
		v[at] = x;
	}
}

enum err
issue_list_close(struct issue_list *l, struct config_report *report, struct errinfo *ei)
{
	if (l->v == NULL || arena_failed(l->arena)) {
		*report = (struct config_report){0};
		return ERR(ei, ERR_NOMEM, "no memory for the configuration");
	}
	sort_issues(l->v, l->n_kept_errors + l->n_kept_notes);
	report->issues = l->v;
	report->n_issues = l->n_kept_errors + l->n_kept_notes;
	report->n_errors = l->n_errors;
	if (l->n_errors == 0)
		return OK;
	if (l->n_errors == 1)
		return ERR(ei, ERR_INVALID, "%.*s", SPAN_ARG(l->v[0].text));
	return ERR(ei, ERR_INVALID, "%.*s (and %zu more)", SPAN_ARG(l->v[0].text), l->n_errors - 1);
}
