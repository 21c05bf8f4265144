/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reads small bodies: unknown members are refused, so that a misspelled one is not ignored. */
#include "json_fields.h"

#include "base/json.h"
#include "base/must.h"

static enum err
read_field(
	const struct json *o, const struct json_field *f, const char *missing, struct errinfo *ei)
{
	const struct json *v = json_find_cstr(o, f->name);

	if (v != NULL && f->text != NULL && v->type == JSON_STRING)
		*f->text = span_trim(v->text);
	else if (v != NULL && f->text == NULL && v->type == JSON_BOOL)
		*f->flag = v->boolean;
	else if (v != NULL)
		return ERR(ei, ERR_INVALID, "%s must be a %s", f->name,
			f->text != NULL ? "string" : "boolean");
	if (f->is_required && (v == NULL || (f->text != NULL && f->text->n == 0)))
		return ERR(ei, ERR_INVALID, "%s", missing);
	return OK;
}

enum err
json_fields_read(struct span body, const struct json_field *fields, size_t n, const char *missing,
	struct arena *a, struct errinfo *ei)
{
	const char *names[JSON_FIELDS_MAX];
	const struct json *unknown;
	const struct json *o;
	enum err rc = json_parse(body, a, &o, NULL, ei);

	MUST(n <= JSON_FIELDS_MAX);
	if (rc != OK)
		return rc;
	if (o->type != JSON_OBJECT)
		return ERR(ei, ERR_INVALID, "the body must be an object");
	for (size_t i = 0; i < n; i++)
		names[i] = fields[i].name;
	unknown = json_find_unknown(o, names, n, true, NULL);
	if (unknown != NULL)
		return ERR(ei, ERR_INVALID, "unknown member \"%.*s\"",
			(int)(unknown->name.n < 64 ? unknown->name.n : 64), unknown->name.p);
	for (size_t i = 0; i < n && rc == OK; i++)
		rc = read_field(o, &fields[i], missing, ei);
	return rc;
}
