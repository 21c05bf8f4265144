/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The member readers behind params.c. They judge bytes, never meaning, and never put a member's value into a message. Pure; any
 * thread.
 */
#include "params_text.h"

#include "base/arena.h"

static bool
is_control(unsigned char c)
{
	return c < 0x20 || c == 0x7f;
}

static bool
is_token_byte(unsigned char c)
{
	static const char others[] = "!#$%&'*+-.^_`|~";

	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c != '\0' && strchr(others, c) != NULL);
}

static bool
is_byte_ok(unsigned char c, enum text_rule rule)
{
	switch (rule) {
	case TEXT_NAME:
		return !is_control(c);
	case TEXT_ENV_KEY:
		return !is_control(c) && c != '=';
	case TEXT_TOKEN:
		return is_token_byte(c);
	case TEXT_FIELD:
		return !is_control(c) || c == '\t';
	case TEXT_ARG:
		return c != '\0';
	case TEXT_FREE:
		return true;
	}
	return false;
}

bool
params_text_is_ok(struct span s, enum text_rule rule, const char **why)
{
	static const char *const WORDS[] = {
		[TEXT_NAME] = "must not hold control characters",
		[TEXT_ENV_KEY] = "must not hold control characters or \"=\"",
		[TEXT_TOKEN] = "must be a token",
		[TEXT_FIELD] = "must not hold control characters",
		[TEXT_ARG] = "must not hold NUL",
		[TEXT_FREE] = "",
	};

	if (rule <= TEXT_TOKEN && span_trim(s).n == 0) {
		*why = "must not be blank";
		return false;
	}
	for (size_t i = 0; i < s.n; i++) {
		if (!is_byte_ok((unsigned char)s.p[i], rule)) {
			*why = WORDS[rule];
			return false;
		}
	}
	return true;
}

/* The member, or NULL when it is absent or null. */
static const struct json *
find_value(const struct json *o, const char *name)
{
	const struct json *v = json_find_cstr(o, name);

	return v != NULL && v->type == JSON_NULL ? NULL : v;
}

enum err
params_get_text(const struct json *o, const char *name, bool required, enum text_rule rule,
	struct span *out, struct errinfo *ei)
{
	const char *why;
	const struct json *v = find_value(o, name);

	*out = SPAN_NONE;
	if (v == NULL)
		return required ? ERR(ei, ERR_INVALID, "%s is required", name) : OK;
	if (v->type != JSON_STRING)
		return ERR(ei, ERR_INVALID, "%s must be a string", name);
	if (!params_text_is_ok(v->text, rule, &why))
		return ERR(ei, ERR_INVALID, "%s %s", name, why);
	*out = v->text;
	return OK;
}

enum err
params_get_list(const struct json *o, const char *name, enum text_rule rule, struct arena *a,
	struct text_list *out, struct errinfo *ei)
{
	const char *why;
	const struct json *v = find_value(o, name);
	size_t i = 0;

	*out = (struct text_list){NULL, 0};
	if (v == NULL)
		return OK;
	if (v->type != JSON_ARRAY)
		return ERR(ei, ERR_INVALID, "%s must be an array of strings", name);
	if (v->n == 0)
		return OK;
	struct span *items = ARENA_ARRAY(a, struct span, v->n);
	if (items == NULL)
		return ERR(ei, ERR_TOO_LARGE, "params need too much memory");
	for (const struct json *item = v->first; item != NULL; item = item->next) {
		if (item->type != JSON_STRING)
			return ERR(ei, ERR_INVALID, "%s[%zu] must be a string", name, i);
		if (!params_text_is_ok(item->text, rule, &why))
			return ERR(ei, ERR_INVALID, "%s[%zu] %s", name, i, why);
		items[i++] = item->text;
	}
	*out = (struct text_list){items, i};
	return OK;
}

/* Joins the segments of path that name something into to, which has room for all of path; false for "..". */
static bool
join_segments(struct span path, char *to, size_t *n)
{
	*n = 0;
	while (path.n > 0) {
		struct span segment = span_of(path.p, span_find(path, '/'));
		path = span_from(path, segment.n < path.n ? segment.n + 1 : segment.n);
		if (span_eq(segment, SPAN_LIT("..")))
			return false;
		if (segment.n == 0 || span_eq(segment, SPAN_LIT(".")))
			continue;
		if (*n > 0)
			to[(*n)++] = '/';
		memcpy(to + *n, segment.p, segment.n);
		*n += segment.n;
	}
	return true;
}

enum err
params_get_path(const struct json *o, const char *name, bool required, struct arena *a,
	struct span *out, struct errinfo *ei)
{
	struct span path;
	size_t n;

	*out = SPAN_NONE;
	enum err rc = params_get_text(o, name, required, TEXT_FREE, &path, ei);
	if (rc != OK || path.n == 0)
		return rc != OK || !required ? rc : ERR(ei, ERR_INVALID, "%s is required", name);
	const char *why;
	if (!params_text_is_ok(path, TEXT_NAME, &why))
		return ERR(ei, ERR_INVALID, "%s %s", name, why);
	if (path.p[0] == '/')
		return ERR(ei, ERR_INVALID, "%s must be relative to the workspace", name);
	if (span_find(path, '\\') < path.n)
		return ERR(ei, ERR_INVALID, "%s must not hold a backslash", name);
	char *to = arena_alloc(a, path.n);
	if (to == NULL)
		return ERR(ei, ERR_TOO_LARGE, "params need too much memory");
	if (!join_segments(path, to, &n))
		return ERR(ei, ERR_INVALID, "%s traversal detected", name);
	if (n == 0 && required)
		return ERR(ei, ERR_INVALID, "%s must name a file", name);
	*out = span_of(to, n);
	return OK;
}
