/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What every accepted resource must fulfil, whatever it was made from. Shared by the property test and the fuzz targets, which
 * link the policy module; it stands in a header because test_support does not.
 */
#ifndef TESTS_SUPPORT_NORMAL_FORM_H
#define TESTS_SUPPORT_NORMAL_FORM_H

#include <stdint.h>

#include "base/utf8.h"
#include "policy/action.h"

static inline bool
normal_form_has_any(struct span s, const char *bytes)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\0' && strchr(bytes, s.p[i]) != NULL)
			return true;
	}
	return false;
}

static inline bool
normal_form_has_control(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if ((uint8_t)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	}
	return false;
}

/* repo and secret names are single segments, in which ".." is a name like any other (rows 157, 158 of the table). */
static inline const char *
normal_form_judge_path(const struct resource *r)
{
	bool is_named = r->scheme == RESOURCE_REPO || r->scheme == RESOURCE_SECRET;
	struct span rest = r->path;

	if (rest.n == 0 || rest.p[0] != '/')
		return "path without its slash";
	if (rest.n == 1)
		return is_named ? "no name" : NULL;
	for (unsigned n = 0; rest.n > 0; n++) {
		rest = span_from(rest, 1);
		struct span segment = span_of(rest.p, span_find(rest, '/'));
		rest = span_from(rest, segment.n);
		if (segment.n == 0)
			return "empty segment";
		if (is_named && n > 0)
			return "second segment";
		if (!is_named && (span_eq_cstr(segment, ".") || span_eq_cstr(segment, "..")))
			return "dot segment";
	}
	return NULL;
}

/* NULL, or what is wrong with r. */
static inline const char *
normal_form_judge(const struct resource *r)
{
	if (!utf8_is_valid(r->text))
		return "invalid UTF-8";
	if (normal_form_has_control(r->text))
		return "control byte";
	if (r->host.n == 0 || r->path.p != r->host.p + r->host.n ||
		r->path.p + r->path.n != r->text.p + r->text.n)
		return "host and path are not the rest of the text";
	size_t head = (size_t)(r->host.p - r->text.p);
	if (head < 4 || memcmp(r->text.p + head - 3, "://", 3) != 0)
		return "no scheme";
	if (r->scheme == RESOURCE_FILE && !span_eq_cstr(r->host, "workspace"))
		return "file host";
	return normal_form_judge_path(r);
}

/*
 * Whether a second reading must give the same text. Escapes are decoded once and stay decoded, so a text that holds % ? # or outer
 * blanks means something else when it is read as a URI again; nobody may do that.
 */
static inline bool
normal_form_is_fixed(const struct resource *r)
{
	return !normal_form_has_any(r->text, "%?#") && span_trim(r->text).n == r->text.n;
}

#endif
