/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The container of a bundle: signature, YAML or JSON by extension, top level, places in messages.
 * It must never decode bytes whose signature did not hold, and never accept what it does not
 * understand. Runs on the thread that loads.
 */
#include "bundle.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/parse.h"
#include "base/sign.h"
#include "base/yaml.h"

#define SIGNATURE_BYTES_MAX 4096

enum err
bundle_fault(
	const struct bundle_reader *r, const struct json *v, enum err code, const char *fmt, ...)
{
	char text[ERRINFO_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return ERR(r->ei, code, "%.*s:%u:%u: %s", SPAN_ARG(r->path), v->line, v->column, text);
}

enum err
bundle_full(const struct bundle_reader *r)
{
	return ERR(
		r->ei, ERR_TOO_LARGE, "%.*s: policy does not fit into memory", SPAN_ARG(r->path));
}

static bool
grow_warnings(const struct bundle_reader *r)
{
	struct warnings *w = r->warnings;

	if (w->n < w->size)
		return true;
	size_t size = w->size == 0 ? 16 : w->size * 2;
	struct policy_warning *v = ARENA_ARRAY(r->arena, struct policy_warning, size);
	if (v == NULL)
		return false;
	if (w->n > 0)
		memcpy(v, w->v, w->n * sizeof(*v));
	w->v = v;
	w->size = size;
	return true;
}

enum err
bundle_warn(const struct bundle_reader *r, const struct rule *rule, const struct json *v,
	const char *code, const char *fmt, ...)
{
	char text[ERRINFO_MAX];
	va_list ap;

	if (!grow_warnings(r))
		return bundle_full(r);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	struct policy_warning *w = &r->warnings->v[r->warnings->n];
	w->rule_id = rule->id;
	w->code = span_cstr(code);
	w->message = arena_dup(r->arena, span_cstr(text));
	w->place = arena_printf(r->arena, "%.*s:%u:%u", SPAN_ARG(r->path),
		v != NULL ? v->line : rule->place.line, v != NULL ? v->column : rule->place.column);
	if (arena_failed(r->arena))
		return bundle_full(r);
	r->warnings->n++;
	return OK;
}

enum err
bundle_parse_text(
	const struct bundle_reader *r, const struct json *v, const char *what, struct span *out)
{
	struct span text;

	*out = SPAN_NONE;
	if (v->type == JSON_STRING)
		text = v->text;
	else if (r->is_yaml && (v->type == JSON_NUMBER || v->type == JSON_BOOL))
		text = v->source;
	else
		return bundle_fault(r, v, ERR_INVALID, "decode bundle: %s must be a string, not %s",
			what, json_type_name(v->type));
	*out = arena_dup(r->arena, text);
	return arena_failed(r->arena) ? bundle_full(r) : OK;
}

/*
 * Keys of later bundle versions. Ignoring them would widen the rule, so they get a message of their
 * own.
 */
static bool
is_later_key(struct span name)
{
	return span_eq_cstr(name, "params_match") || span_eq_cstr(name, "program_patterns");
}

enum err
bundle_check_members(const struct bundle_reader *r, const struct json *o, struct span where,
	const char *const known[], size_t n_known)
{
	const char *twin = NULL;
	const struct json *m = json_find_unknown(o, known, n_known, true, &twin);

	if (m == NULL)
		return OK;
	if (twin != NULL)
		return bundle_fault(r, m, ERR_INVALID,
			"decode bundle: %.*sfield \"%.*s\" differs from \"%s\" only in case",
			SPAN_ARG(where), SPAN_ARG(m->name), twin);
	if (is_later_key(m->name))
		return bundle_fault(r, m, ERR_INVALID,
			"%.*s%.*s is not supported by this version; without it the rule would "
			"match "
			"more than it says",
			SPAN_ARG(where), SPAN_ARG(m->name));
	const char *nearest = NULL;
	unsigned best = 3;
	for (size_t i = 0; i < n_known; i++) {
		unsigned d = parse_edit_distance(m->name, span_cstr(known[i]), 2);
		if (d < best) {
			best = d;
			nearest = known[i];
		}
	}
	return bundle_fault(r, m, ERR_INVALID, "decode bundle: %.*sunknown field \"%.*s\"%s%s%s",
		SPAN_ARG(where), SPAN_ARG(m->name), nearest != NULL ? " (did you mean \"" : "",
		nearest != NULL ? nearest : "", nearest != NULL ? "\"?)" : "");
}

/*
 * The base64 text without the line breaks that openssl puts into it, as the reference's decoder
 * skips them.
 */
static struct span
join_lines(struct span text, struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, SIGNATURE_BYTES_MAX * 2);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '\n' && text.p[i] != '\r')
			buf_add_char(&b, text.p[i]);
	}
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

enum err
bundle_verify(const struct policy_source *src, const struct policy_options *options,
	struct arena *scratch, struct errinfo *ei)
{
	struct buf raw;

	if (!src->verify)
		return OK;
	if (span_trim(src->signature).n == 0 || options->public_key_pem.n == 0)
		return ERR(ei, ERR_FORBIDDEN, "signature and public key paths are required");
	struct span text = join_lines(span_trim(src->signature), scratch);
	if (text.n == 0)
		return ERR(ei, ERR_TOO_LARGE, "signature is too large");
	buf_init_arena(&raw, scratch, SIGNATURE_BYTES_MAX);
	enum err rc = sign_base64_decode(text, &raw, ei);
	if (rc == ERR_PARSE)
		return ERR(ei, ERR_FORBIDDEN, "signature must be base64");
	if (rc != OK)
		return rc;
	rc = sign_rsa_verify(options->public_key_pem, src->bytes, buf_span(&raw), ei);
	if (rc == ERR_FORBIDDEN)
		return ERR(ei, ERR_FORBIDDEN, "policy bundle signature verification failed");
	return rc;
}

static enum err
parse_json(const struct bundle_reader *r, struct span text, const struct json **out)
{
	struct json_error je = {0};
	enum err rc = json_parse(text, r->scratch, out, &je, r->ei);

	if (rc == OK)
		return OK;
	struct json at = {.line = je.line, .column = je.column};
	if (je.fault == JSON_FAULT_EMPTY)
		return bundle_fault(r, &at, rc, "decode bundle: EOF");
	if (je.fault == JSON_FAULT_TRAILING)
		return bundle_fault(r, &at, rc, "bundle contains trailing data");
	char why[ERRINFO_MAX];
	snprintf(why, sizeof(why), "%s", r->ei->msg);
	return bundle_fault(r, &at, rc, "decode bundle: %s", why);
}

/* Puts the reference's words behind the place that yaml_parse wrote: "path:line:column: text". */
static enum err
reword_yaml(const struct bundle_reader *r, enum err rc)
{
	char text[ERRINFO_MAX];
	size_t n = strlen(r->ei->msg);
	const char *why = strstr(r->ei->msg + (r->path.n < n ? r->path.n : n), ": ");

	if (why == NULL || rc != ERR_PARSE)
		return rc;
	int place = (int)(why - r->ei->msg);
	why += 2;
	if (strcmp(why, "trailing document") == 0)
		snprintf(text, sizeof(text), "%.*s: bundle contains trailing data", place,
			r->ei->msg);
	else
		snprintf(text, sizeof(text), "%.*s: decode bundle: %s", place, r->ei->msg, why);
	return ERR(r->ei, rc, "%s", text);
}

static enum err
parse_tree(const struct bundle_reader *r, struct span text, const struct json **out)
{
	if (!r->is_yaml)
		return parse_json(r, text, out);
	const char *file = arena_dup_cstr(r->scratch, r->path);
	if (file == NULL)
		return bundle_full(r);
	enum err rc = yaml_parse(text, file, r->scratch, out, r->ei);
	return rc == OK ? OK : reword_yaml(r, rc);
}

static enum err
check_top(const struct bundle_reader *r, const struct json *top)
{
	static const char *const known[] = {"version", "rules"};
	struct span version;

	if (top->type != JSON_OBJECT)
		return bundle_fault(
			r, top, ERR_INVALID, "decode bundle: top level must be an object");
	enum err rc = bundle_check_members(r, top, SPAN_NONE, known, ARRAY_LEN(known));
	if (rc != OK)
		return rc;
	const struct json *v = json_find_cstr(top, "version");
	if (v == NULL)
		return bundle_fault(r, top, ERR_INVALID, "bundle version must be v1");
	rc = bundle_parse_text(r, v, "version", &version);
	if (rc != OK)
		return rc;
	if (!span_eq_cstr(version, "v1"))
		return bundle_fault(r, v, ERR_INVALID, "bundle version must be v1");
	const struct json *rules = json_find_cstr(top, "rules");
	if (rules == NULL)
		return bundle_fault(r, top, ERR_INVALID, "bundle rules are required");
	if (rules->type != JSON_ARRAY)
		return bundle_fault(r, rules, ERR_INVALID, "decode bundle: rules must be a list");
	if (rules->n == 0)
		return bundle_fault(r, rules, ERR_INVALID, "bundle rules are required");
	return OK;
}

enum err
bundle_parse(const struct bundle_reader *r, struct span text, struct bundle *out)
{
	const struct json *top = NULL;

	*out = (struct bundle){0};
	enum err rc = parse_tree(r, text, &top);
	if (rc != OK)
		return rc;
	rc = check_top(r, top);
	if (rc != OK)
		return rc;
	const struct json *list = json_find_cstr(top, "rules");
	struct rule *rules = ARENA_ARRAY(r->arena, struct rule, list->n);
	if (rules == NULL)
		return bundle_full(r);
	size_t n = 0;
	for (const struct json *v = list->first; v != NULL; v = v->next) {
		if (v->type != JSON_OBJECT)
			return bundle_fault(r, v, ERR_INVALID,
				"decode bundle: rules[%zu] must be an object, not %s", n,
				json_type_name(v->type));
		rc = bundle_parse_rule(r, v, &rules[n]);
		if (rc != OK)
			return rc;
		n++;
	}
	rc = bundle_hash(rules, n, out->hash, r->ei);
	if (rc != OK)
		return rc;
	out->rules = rules;
	out->n_rules = n;
	return OK;
}
