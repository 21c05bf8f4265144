/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Judges the claims of tokens. What is missing, of another type or more than is looked at is refused: no claim has a default. */
#include "identity/token_rules.h"

#include "base/json.h"

/* The last second of 9999. */
#define TIME_MAX INT64_C(253402300799)

static enum err
refuse(struct errinfo *ei, const char *why)
{
	return ERR(ei, ERR_AUTH, "%s", why);
}

static struct span
text_of(const struct json *o, const char *name)
{
	const struct json *member = json_find_cstr(o, name);

	return member != NULL && member->type == JSON_STRING ? member->text : SPAN_NONE;
}

bool
token_is_of_issuer(const struct token_rules *rules, const struct jose_token *token)
{
	return rules->issuer.n > 0 && span_eq(text_of(token->claims, "iss"), rules->issuer);
}

/* Tokens are made for other ends too, such as logging out; "application/" may be left away (RFC 7515 4.1.9). */
static bool
is_type_known(struct span type)
{
	static const struct span known[] = {{"JWT", 3}, {"at+jwt", 6}};
	struct span prefix = SPAN_LIT("application/");

	if (type.n == 0)
		return true;
	if (type.n > prefix.n && span_eq_nocase(span_of(type.p, prefix.n), prefix))
		type = span_from(type, prefix.n);
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_eq_nocase(type, known[i]))
			return true;
	return false;
}

static bool
is_for(const struct json *claims, struct span audience)
{
	const struct json *aud = json_find_cstr(claims, "aud");
	bool is_found = false;

	if (aud == NULL || audience.n == 0)
		return false;
	if (aud->type == JSON_STRING)
		return span_eq(aud->text, audience);
	if (aud->type != JSON_ARRAY)
		return false;
	for (const struct json *one = aud->first; one != NULL; one = one->next) {
		if (one->type != JSON_STRING)
			return false;
		is_found = is_found || span_eq(one->text, audience);
	}
	return is_found;
}

static bool
read_time(const struct json *claims, const char *name, int64_t *out)
{
	*out = 0;
	return json_get_int(json_find_cstr(claims, name), 0, TIME_MAX, out);
}

static enum err
judge_times(const struct token_rules *rules, const struct json *claims, int64_t now_s,
	struct token_facts *out, struct errinfo *ei)
{
	bool has_start = json_find_cstr(claims, "nbf") != NULL;
	int64_t issued_s;
	int64_t start_s;

	if (!read_time(claims, "exp", &out->expires_s))
		return refuse(ei, "exp is missing or no whole number of seconds");
	if (!read_time(claims, "iat", &issued_s))
		return refuse(ei, "iat is missing or no whole number of seconds");
	if (!read_time(claims, "nbf", &start_s) && has_start)
		return refuse(ei, "nbf is no whole number of seconds");
	if (now_s >= out->expires_s + rules->leeway_s)
		return refuse(ei, "it has expired");
	if (issued_s > now_s + rules->leeway_s || start_s > now_s + rules->leeway_s)
		return refuse(ei, "it is not valid yet");
	if (issued_s >= out->expires_s || out->expires_s - issued_s > rules->max_lifetime_s)
		return refuse(ei, "it lives longer than identity.oidc.max_lifetime_seconds");
	return OK;
}

/* The member of that name; else, of a name with dots, the one at that path. */
static const struct json *
find_claim(const struct json *claims, struct span name)
{
	const struct json *at = json_find(claims, name);
	struct span rest = name;

	if (at != NULL || span_find(name, '.') == name.n)
		return at;
	for (at = claims; at != NULL && rest.n > 0;) {
		size_t dot = span_find(rest, '.');

		at = at->type == JSON_OBJECT ? json_find(at, span_of(rest.p, dot)) : NULL;
		rest = dot < rest.n ? span_from(rest, dot + 1) : SPAN_NONE;
	}
	return at;
}

/* What could stand in a configuration, a policy and a record without being taken for something else. */
static bool
is_name(const struct json *v, size_t max)
{
	if (v->type != JSON_STRING || v->text.n == 0 || v->text.n > max ||
		span_trim(v->text).n != v->text.n)
		return false;
	for (size_t i = 0; i < v->text.n; i++) {
		unsigned char c = (unsigned char)v->text.p[i];

		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

/* Anybody may call himself by an address that is not his. */
static bool
is_verified(const struct json *claims, struct span claim)
{
	const struct json *verified = json_find_cstr(claims, "email_verified");

	return !span_eq_cstr(claim, "email") ||
	       (verified != NULL && verified->type == JSON_BOOL && verified->boolean);
}

static enum err
read_subject(const struct token_rules *rules, const struct json *claims, struct token_facts *out,
	struct errinfo *ei)
{
	const struct json *claim = find_claim(claims, rules->principal_claim);

	if (claim == NULL || !is_name(claim, PRINCIPAL_BYTES_MAX - rules->principal_prefix.n))
		return refuse(ei, "the principal's claim is missing, or no name");
	if (!is_verified(claims, rules->principal_claim))
		return refuse(ei, "email_verified is not true");
	out->subject = claim->text;
	return OK;
}

static enum err
read_groups(const struct token_rules *rules, const struct json *claims, struct token_facts *out,
	struct errinfo *ei)
{
	const struct json *claim =
		rules->groups_claim.n > 0 ? find_claim(claims, rules->groups_claim) : NULL;
	bool is_list = claim != NULL && claim->type == JSON_ARRAY;

	if (claim == NULL)
		return OK;
	if (is_list && claim->n > TOKEN_GROUPS_MAX)
		return refuse(ei, "there are too many groups");
	for (const struct json *one = is_list ? claim->first : claim; one != NULL;
		one = is_list ? one->next : NULL) {
		if (!is_name(one, PRINCIPAL_BYTES_MAX))
			return refuse(ei, "a group is no name");
		out->groups[out->n_groups++] = one->text;
	}
	return OK;
}

enum err
token_judge(const struct token_rules *rules, const struct jose_token *token, int64_t now_s,
	struct token_facts *out, struct errinfo *ei)
{
	const struct json *claims = token->claims;
	enum err rc;

	out->n_groups = 0;
	if (!token_is_of_issuer(rules, token))
		return refuse(ei, "iss is another");
	if (!is_type_known(token->type))
		return refuse(ei, "typ is none of JWT, at+jwt");
	if (!is_for(claims, rules->audience))
		return refuse(ei, "aud is another");
	if (json_find_cstr(claims, "cnf") != NULL)
		return refuse(ei, "it is bound to a key, and no bearer token");
	rc = judge_times(rules, claims, now_s, out, ei);
	if (rc == OK)
		rc = read_subject(rules, claims, out, ei);
	return rc == OK ? read_groups(rules, claims, out, ei) : rc;
}
