/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
#include "identity/spiffe.h"

#define TRUST_DOMAIN_BYTES_MAX 255

static bool
is_letter_of_domain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool
spiffe_trust_domain_is_valid(struct span name)
{
	for (size_t i = 0; i < name.n; i++)
		if (!is_letter_of_domain(name.p[i]))
			return false;
	return name.n > 0 && name.n <= TRUST_DOMAIN_BYTES_MAX;
}

static bool
is_segment(struct span s)
{
	if (s.n == 0 || span_eq_cstr(s, ".") || span_eq_cstr(s, ".."))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_letter_of_domain(s.p[i]) && !(s.p[i] >= 'A' && s.p[i] <= 'Z'))
			return false;
	return true;
}

bool
spiffe_path_is_valid(struct span path)
{
	struct span rest = path;

	while (rest.n > 0 && rest.p[0] == '/') {
		rest = span_from(rest, 1);
		size_t end = span_find(rest, '/');
		if (!is_segment(span_of(rest.p, end)))
			return false;
		rest = span_from(rest, end);
	}
	return path.n > 0 && rest.n == 0;
}

bool
spiffe_id_parse(struct span text, struct spiffe_id *out)
{
	struct span scheme = SPAN_LIT("spiffe://");
	struct spiffe_id id;
	struct span rest;

	*out = (struct spiffe_id){SPAN_NONE, SPAN_NONE};
	if (text.n > SPIFFE_ID_BYTES_MAX || !span_starts(text, scheme))
		return false;
	rest = span_from(text, scheme.n);
	id.trust_domain = span_of(rest.p, span_find(rest, '/'));
	id.path = span_from(rest, id.trust_domain.n);
	if (!spiffe_trust_domain_is_valid(id.trust_domain) || !spiffe_path_is_valid(id.path))
		return false;
	*out = id;
	return true;
}
