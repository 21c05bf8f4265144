/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads tokens. What a header may say is a closed matter: whoever wants a verifier to look elsewhere for a key, or to
 * understand what it does not, is refused before any key is looked at. Pure; any thread.
 */
#include "base/jose.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/sign.h"

struct parts {
	struct span header;
	struct span claims;
	struct span signature;
};

static bool
split(struct span text, struct parts *out)
{
	size_t first = span_find(text, '.');
	struct span rest;

	if (first == text.n)
		return false;
	rest = span_from(text, first + 1);
	size_t second = span_find(rest, '.');
	if (second == rest.n)
		return false;
	*out = (struct parts){
		span_of(text.p, first),
		span_of(rest.p, second),
		span_from(rest, second + 1),
	};
	return out->header.n > 0 && out->claims.n > 0 && out->signature.n > 0 &&
	       span_find(out->signature, '.') == out->signature.n;
}

bool
jose_looks_like_token(struct span text)
{
	struct parts parts;

	return split(text, &parts);
}

/* One part as a JSON object. */
static enum err
read_object(struct span part, const char *what, struct arena *a, const struct json **out,
	struct errinfo *ei)
{
	struct buf text;
	enum err rc;

	*out = NULL;
	buf_init_arena(&text, a, JOSE_TOKEN_BYTES_MAX);
	rc = sign_base64url_decode(part, &text, ei);
	if (rc == OK)
		rc = json_parse(buf_span(&text), a, out, NULL, ei);
	if (rc == OK && (*out)->type != JSON_OBJECT)
		rc = ERR(ei, ERR_PARSE, "not an object");
	return rc == OK ? OK : ERR_WRAP(ei, rc, "%s", what);
}

static enum jose_algorithm
parse_algorithm(struct span name)
{
	if (span_eq_cstr(name, "RS256"))
		return JOSE_RS256;
	if (span_eq_cstr(name, "ES256"))
		return JOSE_ES256;
	if (span_eq_cstr(name, "EdDSA"))
		return JOSE_EDDSA;
	return JOSE_NONE;
}

/* An absent member leaves *out empty; one that is no text is refused. */
static bool
read_text(const struct json *o, const char *name, struct span *out)
{
	const struct json *member = json_find_cstr(o, name);

	*out = SPAN_NONE;
	if (member == NULL)
		return true;
	*out = member->text;
	return member->type == JSON_STRING && member->text.n > 0;
}

static enum err
read_header(const struct json *header, struct jose_token *out, struct errinfo *ei)
{
	/* Other keys, other forms, and what would have to be understood. */
	static const char *const refused[] = {
		"crit", "b64", "enc", "zip", "cty", "jwk", "jku", "x5u"};
	struct span algorithm;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		if (json_find_cstr(header, refused[i]) != NULL)
			return ERR(ei, ERR_PARSE, "the header has %s", refused[i]);
	if (!read_text(header, "alg", &algorithm) || !read_text(header, "kid", &out->kid) ||
		!read_text(header, "typ", &out->type) || out->kid.n > JOSE_KID_BYTES_MAX)
		return ERR(ei, ERR_PARSE, "alg, kid and typ of the header are texts");
	out->algorithm = parse_algorithm(algorithm);
	if (out->algorithm == JOSE_NONE)
		return ERR(ei, ERR_PARSE, "the algorithm is none of RS256, ES256, EdDSA");
	return OK;
}

enum err
jose_token_parse(struct span text, struct arena *a, struct jose_token *out, struct errinfo *ei)
{
	const struct json *header = NULL;
	struct parts parts;
	struct buf signature;
	enum err rc;

	*out = (struct jose_token){.text = text};
	if (text.n > JOSE_TOKEN_BYTES_MAX)
		return ERR(ei, ERR_TOO_LARGE, "a token is over %zu bytes", JOSE_TOKEN_BYTES_MAX);
	if (!split(text, &parts))
		return ERR(ei, ERR_PARSE, "a token has three parts");
	rc = read_object(parts.header, "header", a, &header, ei);
	if (rc == OK)
		rc = read_header(header, out, ei);
	if (rc == OK)
		rc = read_object(parts.claims, "claims", a, &out->claims, ei);
	if (rc != OK)
		return rc;
	buf_init_arena(&signature, a, JOSE_TOKEN_BYTES_MAX);
	rc = sign_base64url_decode(parts.signature, &signature, ei);
	out->signed_part = span_of(text.p, parts.header.n + 1 + parts.claims.n);
	out->signature = buf_span(&signature);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "signature");
}
