/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Compiles the built-in rules and an operator's patterns into one Hyperscan database. Any thread. */
#include "redactor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/must.h"
#include "base/redact.h"
#include "redact_rules.h"

enum {
	BUILTIN_ROOM = 64,
	CUSTOM_MAX = 256,        /* patterns of an operator */
	CUSTOM_BYTES_MAX = 4096, /* of one of them */
};

static struct redactor default_redactor = {.magic = REDACTOR_MAGIC};
static pthread_once_t default_once = PTHREAD_ONCE_INIT;
static _Atomic uint64_t last_id;

/* Whether the pattern may hold ^, $, \A, \z or \Z; one that has them in another meaning is counted, too. */
static bool
may_be_anchored(struct span pattern)
{
	for (size_t i = 0; i < pattern.n; i++) {
		char c = pattern.p[i];
		char next = i + 1 < pattern.n ? pattern.p[i + 1] : '\0';

		if (c == '^' || c == '$' || (c == '\\' && strchr("AzZGQ", next) != NULL))
			return true;
		/* An escaped byte, and the sign that inverts a class. */
		if (c == '\\' || (c == '[' && next == '^'))
			i++;
	}
	return false;
}

/* The expressions of the built-ins and of the operator, as Hyperscan wants them. */
struct expressions {
	const char *text[BUILTIN_ROOM + CUSTOM_MAX];
	unsigned flags[BUILTIN_ROOM + CUSTOM_MAX];
	unsigned ids[BUILTIN_ROOM + CUSTOM_MAX];
	unsigned n;
};

static void
add_expression(struct expressions *e, const char *text, unsigned flags)
{
	MUST(e->n < ARRAY_LEN(e->text));
	e->text[e->n] = text;
	e->flags[e->n] = flags;
	e->ids[e->n] = e->n;
	e->n++;
}

static void
add_builtins(struct expressions *e)
{
	for (size_t i = 0; i < redact_n_rules; i++) {
		unsigned flags = redact_rules[i].any_case ? HS_FLAG_CASELESS : 0;
		/*
		 * To know where a match starts costs time at compilation; this shape finds it
		 * itself.
		 */
		if (redact_rules[i].shape != SHAPE_ASSIGNED)
			flags |= HS_FLAG_SOM_LEFTMOST;
		add_expression(e, redact_rules[i].pattern, flags);
	}
}

static enum err
compile(const struct expressions *e, hs_database_t **db, struct errinfo *ei)
{
	hs_compile_error_t *why = NULL;
	enum err rc = OK;

	*db = NULL;
	if (hs_compile_multi(e->text, e->flags, e->ids, e->n, HS_MODE_BLOCK, NULL, db, &why) !=
		HS_SUCCESS) {
		size_t i = why != NULL && why->expression >= 0 ? (size_t)why->expression : e->n;
		rc = ERR(ei, ERR_INVALID, "invalid redaction pattern \"%s\": %s",
			i < e->n ? e->text[i] : "", why != NULL ? why->message : "not compiled");
	}
	hs_free_compile_error(why);
	return rc;
}

static void
make_default(void)
{
	struct expressions e = {.n = 0};

	add_builtins(&e);
	default_redactor.id = ++last_id;
	/* On failure db stays NULL and everything is replaced. */
	if (compile(&e, &default_redactor.db, NULL) != OK)
		default_redactor.db = NULL;
}

const struct redactor *
redactor_default(void)
{
	pthread_once(&default_once, make_default);
	return &default_redactor;
}

static enum err
add_custom(struct expressions *e, struct span pattern, char **copy, struct errinfo *ei)
{
	*copy = NULL;
	if (pattern.n == 0)
		return ERR(ei, ERR_INVALID, "invalid redaction pattern \"\": empty");
	if (pattern.n > CUSTOM_BYTES_MAX || span_find(pattern, '\0') < pattern.n)
		return ERR(ei, ERR_INVALID,
			"invalid redaction pattern \"%.*s\": more than %d bytes or a NUL byte", 40,
			pattern.p, CUSTOM_BYTES_MAX);
	*copy = mem_dup_span(pattern);
	if (*copy == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	add_expression(e, *copy, HS_FLAG_SOM_LEFTMOST);
	return OK;
}

enum err
redactor_new(const struct span *patterns, size_t n, struct redactor **out, struct errinfo *ei)
{
	struct expressions e = {.n = 0};
	char *copies[CUSTOM_MAX] = {NULL};
	struct redactor *r = NULL;
	enum err rc = OK;

	*out = NULL;
	if (n > CUSTOM_MAX)
		return ERR(ei, ERR_INVALID, "more than %d redaction patterns", CUSTOM_MAX);
	add_builtins(&e);
	for (size_t i = 0; i < n && rc == OK; i++)
		rc = add_custom(&e, patterns[i], &copies[i], ei);
	if (rc != OK)
		goto out;
	r = mem_zalloc(1, sizeof(*r));
	if (r == NULL) {
		rc = ERR(ei, ERR_NOMEM, "out of memory");
		goto out;
	}
	r->magic = REDACTOR_MAGIC;
	r->id = ++last_id;
	for (size_t i = 0; i < n; i++)
		r->is_anchored = r->is_anchored || may_be_anchored(patterns[i]);
	rc = compile(&e, &r->db, ei);
	if (rc != OK)
		goto out;
	*out = r;
	r = NULL;
out:
	mem_free(r);
	for (size_t i = 0; i < n; i++)
		mem_free(copies[i]);
	return rc;
}

void
redactor_free(struct redactor **r)
{
	if (*r == NULL)
		return;
	OBJ_CHECK(*r, REDACTOR_MAGIC);
	hs_free_database((*r)->db);
	(*r)->magic = 0;
	mem_free(*r);
	*r = NULL;
}
