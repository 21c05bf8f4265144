/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in rules (nomos-policy.md 6.1) and what they miss there: key shapes of well-known services, JSON members,
 * assignments, user names and passwords in URLs, blocks cut before their END line. When in doubt more is replaced, never less, but
 * for prose and source code that merely speak of tokens. Works on bytes, valid UTF-8 or not. Pure; any thread.
 */
#include "redact_rules.h"

#include <string.h>

#include "base/attr.h"

#define SECRET_NAMES                                                                               \
	"(password|passwd|passphrase|secret|(access|auth|refresh|session|id|bearer|private|"       \
	"secret)[_-]?token|\\btoken|api[_-]?key|(access|private|secret|account)[_-]?key)"

const struct redact_rule redact_rules[] = {
	{"(proxy-)?authorization:[ \\t]*[^ \\t\\r\\n]", true, SHAPE_LINE, 0},
	{"(set-)?cookie:[ \\t]*[^ \\t\\r\\n]", true, SHAPE_LINE, 0},
	{"x-(api-key|auth-token):[ \\t]*[^ \\t\\r\\n]", true, SHAPE_LINE, 0},
	{"bearer\\s+[A-Za-z0-9._~+/-]{12}", true, SHAPE_TOKEN, 0},
	{"basic\\s+[A-Za-z0-9+/=]{12}", true, SHAPE_BASE64, 0},
	{"AKIA[0-9A-Z]{16}", false, SHAPE_BASE64, 0},
	{"\\bASIA[0-9A-Z]{16}\\b", false, SHAPE_MATCH, 0},
	{"eyJ[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]", false, SHAPE_TOKEN, 0},
	{"-----BEGIN [A-Z0-9 ]+-----", false, SHAPE_PEM_BEGIN, 0},
	{"-----END [A-Z0-9 ]+-----", false, SHAPE_PEM_END, 0},
	{"\\bsk-[A-Za-z0-9_-]", false, SHAPE_TOKEN, 23},
	{"\\bgh[pousr]_[A-Za-z0-9]", false, SHAPE_TOKEN, 24},
	{"\\bgithub_pat_[A-Za-z0-9]", false, SHAPE_TOKEN, 31},
	{"\\bglpat-[A-Za-z0-9_-]", false, SHAPE_TOKEN, 26},
	{"\\bxox[a-z]-[A-Za-z0-9]", false, SHAPE_TOKEN, 15},
	{"\\bAIza[A-Za-z0-9_-]", false, SHAPE_TOKEN, 39},
	{"[\"']((proxy-)?authorization|(set-)?cookie|x-(api-key|auth-token)|" SECRET_NAMES
	 ")\\\\?[\"']\\s*:\\s*\\\\?[\"']",
		true, SHAPE_QUOTED, 0},
	{SECRET_NAMES "[ \\t]*[:=][ \\t]*[\"']", true, SHAPE_QUOTED, 0},
	{SECRET_NAMES "=", true, SHAPE_VALUE, 0},
	{"secret[_-]?access[_-]?key[ \\t]*=[ \\t]*", true, SHAPE_VALUE, 0},
	{"://[^\\s/@\"']+@", false, SHAPE_USERINFO, 16},
};
const size_t redact_n_rules = ARRAY_LEN(redact_rules);

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || is_upper(c) || (c >= 'a' && c <= 'z');
}

static bool
is_one_of(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static size_t
skip_line(struct span text, size_t at)
{
	while (at < text.n && text.p[at] != '\r' && text.p[at] != '\n')
		at++;
	return at;
}

static size_t
skip_class(struct span text, size_t at, const char *punctuation)
{
	while (at < text.n && (is_alnum(text.p[at]) || is_one_of(text.p[at], punctuation)))
		at++;
	return at;
}

/*
 * The content of the quoted string whose opening quote is the byte before `begin`. A quote that was itself escaped (JSON
 * inside JSON) is closed by the next quote of its kind, a plain one by the next that is not escaped.
 */
static struct redact_range
quoted_content(struct span text, size_t begin, size_t seen)
{
	char quote = text.p[begin - 1];
	bool nested = begin >= 2 && text.p[begin - 2] == '\\';
	size_t at = seen > begin ? seen : begin;

	while (at < text.n && text.p[at] != quote && text.p[at] != '\n') {
		if (text.p[at] == '\\' && nested && at + 1 < text.n && text.p[at + 1] == quote)
			break;
		at += text.p[at] == '\\' && at + 1 < text.n ? 2 : 1;
	}
	return (struct redact_range){begin, at};
}

/*
 * An assigned word is a secret when it stands in a query string, is assigned to an upper-case name, holds a digit or is
 * long. `password=password` in source code stays. The limit on the length also bounds how often a byte is looked at.
 */
static struct redact_range
assigned_value(struct span text, struct redact_range match, size_t seen)
{
	enum { LONG = 64 };
	size_t at = seen > match.to ? seen : match.to;
	bool is_secret = at > match.to || is_upper(text.p[match.from]) ||
			 (match.from > 0 && is_one_of(text.p[match.from - 1], "?&"));

	while (at < text.n && (unsigned char)text.p[at] > ' ' &&
		!is_one_of(text.p[at], "&;,\"'`()[]{}<>|")) {
		is_secret = is_secret || is_digit(text.p[at]) || at - match.to >= LONG;
		at++;
	}
	return (struct redact_range){match.to, is_secret ? at : match.to};
}

/* The bytes between "://" and "@" with a password among them, or too long for the name of a user. */
static struct redact_range
user_info(const struct redact_rule *rule, struct span text, struct redact_range match)
{
	size_t from = match.from + strlen("://");
	size_t to = match.to - 1;
	struct span info = span_of(text.p + from, to - from);

	if (info.n < rule->min && span_find(info, ':') == info.n)
		to = from;
	return (struct redact_range){from, to};
}

struct redact_range
redact_rule_extend(
	const struct redact_rule *rule, struct span text, struct redact_range match, size_t seen)
{
	struct redact_range r = match;
	size_t at = seen > match.to ? seen : match.to;

	switch (rule->shape) {
	case SHAPE_LINE:
		r.to = skip_line(text, at);
		break;
	case SHAPE_TOKEN:
		r.to = skip_class(text, at, "+/=._~-");
		if (r.to - r.from < rule->min)
			r.to = r.from;
		break;
	case SHAPE_BASE64:
		r.to = skip_class(text, at, "+/=");
		break;
	case SHAPE_QUOTED:
		return quoted_content(text, match.to, seen);
	case SHAPE_VALUE:
		return assigned_value(text, match, seen);
	case SHAPE_USERINFO:
		return user_info(rule, text, match);
	case SHAPE_MATCH:
	case SHAPE_PEM_BEGIN:
	case SHAPE_PEM_END:
		break;
	}
	return r;
}

/* Blanks and line ends, also those written as \n and \r in a JSON string. */
static struct span
skip_line_ends(struct span s)
{
	while (s.n > 0) {
		if (is_one_of(s.p[0], " \t\r\n"))
			s = span_from(s, 1);
		else if (s.n > 1 && s.p[0] == '\\' && is_one_of(s.p[1], "rn"))
			s = span_from(s, 2);
		else
			break;
	}
	return s;
}

bool
redact_rule_is_pem_body(struct span rest)
{
	enum { BODY_MIN = 16 };
	struct span s = skip_line_ends(rest);
	size_t n = skip_class(s, 0, "+/=");

	/* A run that the text's end cuts short is as much of the key as there is. */
	return n >= BODY_MIN || (n > 0 && n == s.n) || span_starts(s, SPAN_LIT("Proc-Type:"));
}
