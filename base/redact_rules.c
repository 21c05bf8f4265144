/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The built-in rules (nomos-policy.md 6.1) and what they miss there: key shapes of well-known
 * services, JSON members, assignments, user names and passwords in URLs, blocks cut before their
 * END line. When in doubt more is replaced, never less, but for prose and source code that merely
 * speak of tokens. Works on bytes, valid UTF-8 or not. Pure; any thread.
 */
#include "redact_rules.h"

#include <string.h>

#include "base/attr.h"
#include "byte_set.h"

/*
 * Triggers are kept short: long expressions and counted repeats cost the start of the program ten
 * times what these do, and a scan reports each of their ends.
 */
const struct redact_rule redact_rules[] = {
	{"(proxy-)?authorization:", true, SHAPE_LINE, 0},
	{"(set-)?cookie:", true, SHAPE_LINE, 0},
	{"x-(api-key|auth-token):", true, SHAPE_LINE, 0},
	{"bearer\\s", true, SHAPE_CREDENTIAL, 12},
	{"basic\\s", true, SHAPE_BASIC, 12},
	{"AKIA", false, SHAPE_ACCESS_KEY, 16},
	{"\\bASIA[0-9A-Z]{16}\\b", false, SHAPE_MATCH, 0},
	{"eyJ", false, SHAPE_JWT, 0},
	{"-----BEGIN [A-Z0-9 ]+-----", false, SHAPE_PEM_BEGIN, 0},
	{"-----END [A-Z0-9 ]+-----", false, SHAPE_PEM_END, 0},
	{"sk-", false, SHAPE_WORD, 20},
	{"gh[pousr]_", false, SHAPE_WORD, 20},
	{"github_pat_", false, SHAPE_WORD, 20},
	{"glpat-", false, SHAPE_WORD, 20},
	{"xox[a-z]-", false, SHAPE_WORD, 10},
	{"AIza", false, SHAPE_WORD, 35},
	{"(password|passwd|passphrase|secret|token|(api|access|account|private)[_-]?key|"
	 "authorization|cookie)\\\\?[\"']?[ \\t]*[:=]",
		true, SHAPE_ASSIGNED, 0},
	{"://", false, SHAPE_USERINFO, 16},
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

#define BIT BYTE_SET_BIT

/* The runs that shapes are made of; each holds letters and digits. */
static const struct byte_set base64_run = {
	BYTE_SET_DIGITS | BIT('+') | BIT('/') | BIT('='), BYTE_SET_LETTERS};
static const struct byte_set token_run = {
	BYTE_SET_DIGITS | BIT('+') | BIT('/') | BIT('=') | BIT('.') | BIT('-'),
	BYTE_SET_LETTERS | BIT('_') | BIT('~')};
static const struct byte_set name_run = {BYTE_SET_DIGITS | BIT('-'), BYTE_SET_LETTERS | BIT('_')};

static const struct byte_set blanks = {
	BIT(' ') | BIT('\t') | BIT('\r') | BIT('\n') | BIT('\v') | BIT('\f'), 0};
/* What ends a bare value, and what ends a user in a URL. */
static const struct byte_set value_ends = {BIT('&') | BIT(';') | BIT(',') | BIT('"') | BIT('\'') |
						   BIT('(') | BIT(')') | BIT('<') | BIT('>'),
	BIT('`') | BIT('[') | BIT(']') | BIT('{') | BIT('}') | BIT('|')};
static const struct byte_set user_ends = {BIT(' ') | BIT('\t') | BIT('\r') | BIT('\n') | BIT('\v') |
						  BIT('\f') | BIT('/') | BIT('"') | BIT('\''),
	BIT('@')};

static size_t
skip_line(struct span text, size_t at)
{
	while (at < text.n && text.p[at] != '\r' && text.p[at] != '\n')
		at++;
	return at;
}

static size_t
skip_class(struct span text, size_t at, const struct byte_set *run)
{
	while (at < text.n && byte_set_has(run, text.p[at]))
		at++;
	return at;
}

static size_t
skip_blanks(struct span text, size_t at)
{
	while (at < text.n && byte_set_has(&blanks, text.p[at]))
		at++;
	return at;
}

/* The match and the rest of its line; empty when nothing but blanks is left there. */
static struct redact_range
whole_line(struct span text, struct redact_range match, size_t seen)
{
	size_t at = seen > match.to ? seen : match.to;

	while (at < text.n && is_one_of(text.p[at], " \t"))
		at++;
	size_t end = skip_line(text, at);
	if (end == at && seen <= match.to)
		return (struct redact_range){match.from, match.from};
	return (struct redact_range){match.from, end};
}

/* The match, blanks and at least min bytes of a run, or nothing. */
static struct redact_range
with_run(const struct redact_rule *rule, struct span text, struct redact_range match, size_t seen)
{
	bool is_basic = rule->shape == SHAPE_BASIC;
	size_t begin = match.to;

	if (is_basic || rule->shape == SHAPE_CREDENTIAL)
		begin = skip_blanks(text, match.to);
	if (rule->shape == SHAPE_WORD && match.from > 0 && is_alnum(text.p[match.from - 1]))
		return (struct redact_range){match.from, match.from};
	size_t end =
		skip_class(text, seen > begin ? seen : begin, is_basic ? &base64_run : &token_run);
	return (struct redact_range){match.from, end - begin >= rule->min ? end : match.from};
}

/*
 * The content of the quoted string whose opening quote is the byte before `begin`. A quote that was
 * itself escaped (JSON inside JSON) is closed by the next quote of its kind, a plain one by the
 * next that is not escaped.
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

/* Takes the word off the end of *s when it is there, letters folded. */
static bool
ends_in(struct span *s, const char *word)
{
	struct span w = span_cstr(word);

	if (s->n < w.n || !span_eq_nocase(span_from(*s, s->n - w.n), w))
		return false;
	s->n -= w.n;
	return true;
}

/* The line of ~/.aws/credentials, which has blanks around its "=". */
static bool
is_aws_key(struct span name)
{
	return ends_in(&name, "secret_access_key");
}

/*
 * An assigned word is a secret when it stands in a query string, is assigned to an upper-case name,
 * holds a digit or is long. `password=password` in source code stays. The limit on the length also
 * bounds how often a byte is looked at.
 */
static struct redact_range
bare_value(struct span text, struct span name, size_t begin, size_t seen)
{
	enum { LONG = 64 };
	const char *before = name.p > text.p ? name.p - 1 : NULL;
	size_t at = seen > begin ? seen : begin;
	bool is_secret = at > begin || is_upper(name.p[name.n - 1]) || is_aws_key(name) ||
			 (before != NULL && is_one_of(*before, "?&"));

	while (at < text.n && (unsigned char)text.p[at] > ' ' &&
		!byte_set_has(&value_ends, text.p[at])) {
		is_secret = is_secret || is_digit(text.p[at]) || at - begin >= LONG;
		at++;
	}
	return (struct redact_range){begin, is_secret ? at : begin};
}

/* The identifier that ends before the separator at `end`; *quoted when quotes stand around it. */
static struct span
name_before(struct span text, size_t end, bool *quoted)
{
	enum { NAME_MAX_BYTES = 64 };

	while (is_one_of(text.p[end - 1], " \t"))
		end--;
	*quoted = is_one_of(text.p[end - 1], "\"'");
	if (*quoted)
		end--;
	if (text.p[end - 1] == '\\')
		end--;
	size_t begin = end;
	while (begin > 0 && end - begin < NAME_MAX_BYTES &&
		byte_set_has(&name_run, text.p[begin - 1]))
		begin--;
	return span_of(text.p + begin, end - begin);
}

/*
 * "pageToken" and "max_token" name no secret, "access_token" and "token" do; the other words always
 * do.
 */
static bool
names_secret(struct span name)
{
	static const char *const kinds[] = {
		"access", "auth", "refresh", "session", "id", "bearer", "private", "secret", "api"};

	if (!ends_in(&name, "token"))
		return true;
	if (name.n > 0 && is_one_of(name.p[name.n - 1], "_-"))
		name.n--;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (ends_in(&name, kinds[i]))
			return true;
	}
	return name.n == 0;
}

/* match.to is behind the separator; match.from is not known. */
static struct redact_range
assigned_value(struct span text, struct redact_range match, size_t seen)
{
	const struct redact_range none = {match.to, match.to};
	size_t at = match.to;
	bool quoted;
	struct span name = name_before(text, match.to - 1, &quoted);

	if (!names_secret(name))
		return none;
	while (at < text.n && is_one_of(text.p[at], " \t\r\n") && at - match.to < 64)
		at++;
	bool has_blank = at > match.to;
	/* A backslash that no quote follows is a byte of the value, at the end of a line as in it. */
	if (at + 1 < text.n && text.p[at] == '\\' && is_one_of(text.p[at + 1], "\"'"))
		at++;
	if (at < text.n && is_one_of(text.p[at], "\"'"))
		return quoted_content(text, at + 1, seen);
	/*
	 * Header lines have a rule of their own; blanks around = are rather source code, but for
	 * the AWS file.
	 */
	if (text.p[match.to - 1] != '=' || quoted || (has_blank && !is_aws_key(name)))
		return none;
	return bare_value(text, name, at, seen);
}

/*
 * The bytes between "://" and "@" with a password among them, or too long for the name of a user.
 * No two of these runs overlap, since none holds a slash.
 */
static struct redact_range
user_info(const struct redact_rule *rule, struct span text, struct redact_range match)
{
	size_t to = match.to;

	while (to < text.n && !byte_set_has(&user_ends, text.p[to]))
		to++;
	struct span info = span_of(text.p + match.to, to - match.to);
	if (to == text.n || text.p[to] != '@' ||
		(info.n < rule->min && span_find(info, ':') == info.n))
		to = match.to;
	return (struct redact_range){match.to, to};
}

/* The match, at least min upper-case letters and digits, and the rest of the run. */
static struct redact_range
access_key(const struct redact_rule *rule, struct span text, struct redact_range match, size_t seen)
{
	size_t at = match.to;

	while (at < text.n && at - match.to < rule->min &&
		(is_digit(text.p[at]) || is_upper(text.p[at])))
		at++;
	if (at - match.to < rule->min)
		return (struct redact_range){match.from, match.from};
	at = skip_class(text, seen > at ? seen : at, &token_run);
	return (struct redact_range){match.from, at};
}

struct redact_range
redact_rule_jwt(struct span text, struct redact_range match, size_t *checked)
{
	size_t header = skip_class(text, match.to, &name_run);
	size_t payload = header < text.n ? skip_class(text, header + 1, &name_run) : header;

	/* Another start within the header would meet the same dots. */
	*checked = header;
	if (header == match.to || header == text.n || text.p[header] != '.' ||
		payload == header + 1 || payload == text.n || text.p[payload] != '.' ||
		skip_class(text, payload + 1, &name_run) == payload + 1)
		return (struct redact_range){match.from, match.from};
	*checked = skip_class(text, payload + 1, &token_run);
	return (struct redact_range){match.from, *checked};
}

struct redact_range
redact_rule_extend(
	const struct redact_rule *rule, struct span text, struct redact_range match, size_t seen)
{
	switch (rule->shape) {
	case SHAPE_LINE:
		return whole_line(text, match, seen);
	case SHAPE_CREDENTIAL:
	case SHAPE_BASIC:
	case SHAPE_WORD:
		return with_run(rule, text, match, seen);
	case SHAPE_ACCESS_KEY:
		return access_key(rule, text, match, seen);
	case SHAPE_ASSIGNED:
		return assigned_value(text, match, seen);
	case SHAPE_USERINFO:
		return user_info(rule, text, match);
	case SHAPE_MATCH:
	case SHAPE_JWT:
	case SHAPE_PEM_BEGIN:
	case SHAPE_PEM_END:
		break;
	}
	return match;
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
	size_t n = skip_class(s, 0, &base64_run);

	/* A run that the text's end cuts short is as much of the key as there is. */
	return n >= BODY_MIN || (n > 0 && n == s.n) || span_starts(s, SPAN_LIT("Proc-Type:"));
}
