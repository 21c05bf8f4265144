/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The normal form of a resource (nomos-policy.md 4): one text per object, so that a rule that names an object cannot be dodged
 * by spelling it otherwise. What has no single normal form is refused, never guessed. Pure; any thread.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "base/uri.h"
#include "base/utf8.h"
#include "policy/action.h"
#include "resource_part.h"

/* A resource under construction: offsets, because the buffer may move while it grows. */
struct draft {
	struct buf text;
	size_t host_at;
	size_t host_n;
	size_t path_at;
	struct arena *arena;
};

typedef enum err (*build_fn)(const struct uri *u, struct draft *d, struct errinfo *ei);

static const struct path_words FILE_WORDS = {
	"file", "file path traversal detected", "file path is required"};
static const struct path_words URL_WORDS = {"url", "url path traversal detected", NULL};
static const struct path_words CUSTOM_WORDS = {
	"custom resource", "url path traversal detected", NULL};

/* What stands behind "scheme:" without a slash is opaque and has no path. */
static struct span
get_path(const struct uri *u)
{
	return u->path.n > 0 && u->path.p[0] == '/' ? u->path : SPAN_NONE;
}

static void
begin_host(struct draft *d)
{
	BUF_ADD_LIT(&d->text, "://");
	d->host_at = d->text.n;
}

static void
end_host(struct draft *d)
{
	d->host_n = d->text.n - d->host_at;
	d->path_at = d->text.n;
}

static enum err
build_file(const struct uri *u, struct draft *d, struct errinfo *ei)
{
	BUF_ADD_LIT(&d->text, "file");
	begin_host(d);
	if (u->host.n == 0)
		BUF_ADD_LIT(&d->text, "workspace");
	else
		utf8_lower(&d->text, u->host);
	end_host(d);
	struct span host = span_from(buf_span(&d->text), d->host_at);
	if (!buf_failed(&d->text) && !span_eq(host, SPAN_LIT("workspace")))
		return ERR(ei, ERR_NORMALIZE, "unsupported file host \"%.*s\"", SPAN_ARG(host));
	return resource_add_path(get_path(u), &FILE_WORDS, &d->text, ei);
}

/* repo and secret: host as it is but for case, one segment. */
static enum err
build_named(const struct uri *u, const char *scheme, struct draft *d, struct errinfo *ei)
{
	if (u->host.n == 0)
		return ERR(ei, ERR_NORMALIZE, "%s host is required", scheme);
	buf_add_cstr(&d->text, scheme);
	begin_host(d);
	utf8_lower(&d->text, u->host);
	end_host(d);
	return resource_add_name(get_path(u), scheme, d->arena, &d->text, ei);
}

static enum err
build_repo(const struct uri *u, struct draft *d, struct errinfo *ei)
{
	return build_named(u, "repo", d, ei);
}

static enum err
build_secret(const struct uri *u, struct draft *d, struct errinfo *ei)
{
	return build_named(u, "secret", d, ei);
}

static enum err
build_url(const struct uri *u, struct draft *d, struct errinfo *ei)
{
	if (u->has_userinfo)
		return ERR(ei, ERR_NORMALIZE, "url userinfo is not allowed");
	BUF_ADD_LIT(&d->text, "url");
	begin_host(d);
	enum err rc = resource_add_host(u->host, &d->text, ei);
	if (rc != OK)
		return rc;
	end_host(d);
	return resource_add_path(get_path(u), &URL_WORDS, &d->text, ei);
}

static enum err
build_custom(const struct uri *u, struct draft *d, struct errinfo *ei)
{
	if (u->scheme.n == 0)
		return ERR(ei, ERR_NORMALIZE, "custom resource scheme is required");
	if (u->has_userinfo)
		return ERR(ei, ERR_NORMALIZE, "custom resource userinfo is not allowed");
	if (u->query.n > 0)
		return ERR(ei, ERR_NORMALIZE, "custom resource query is not allowed");
	if (u->fragment.n > 0)
		return ERR(ei, ERR_NORMALIZE, "custom resource fragment is not allowed");
	utf8_lower(&d->text, u->scheme);
	begin_host(d);
	enum err rc = resource_add_host(u->host, &d->text, ei);
	if (rc != OK)
		return ERR_WRAP(ei, rc, "invalid custom resource host");
	end_host(d);
	return resource_add_path(get_path(u), &CUSTOM_WORDS, &d->text, ei);
}

static const struct scheme_row {
	const char *name;
	enum resource_scheme scheme;
	build_fn build;
} SCHEMES[] = {
	{"file", RESOURCE_FILE, build_file},
	{"repo", RESOURCE_REPO, build_repo},
	{"url", RESOURCE_URL, build_url},
	{"secret", RESOURCE_SECRET, build_secret},
};

static const struct scheme_row CUSTOM_SCHEME = {"", RESOURCE_CUSTOM, build_custom};

static const struct scheme_row *
find_scheme(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
		if (span_eq_nocase(name, span_cstr(SCHEMES[i].name)))
			return &SCHEMES[i];
	}
	return NULL;
}

static enum err
build(const struct uri *u, const struct scheme_row *row, struct arena *a, struct resource *out,
	struct errinfo *ei)
{
	struct draft d = {.arena = a};
	size_t n = u->scheme.n + u->host.n + u->path.n;

	/* Lower-casing can lengthen a letter, by half at most; "workspace" may be added. */
	buf_init_arena(&d.text, a, n + n / 2 + 32);
	if (buf_reserve(&d.text, n + 16) == NULL)
		return ERR(ei, ERR_TOO_LARGE, "resource needs too much memory");
	enum err rc = row->build(u, &d, ei);
	if (rc != OK)
		return rc;
	struct span text = buf_span(&d.text);
	*out = (struct resource){
		.scheme = row->scheme,
		.text = text,
		.host = span_of(text.p + d.host_at, d.host_n),
		.path = span_from(text, d.path_at),
	};
	return OK;
}

static enum err
parse_uri(struct span text, struct uri *u, struct errinfo *ei)
{
	enum err rc = uri_parse(text, u, ei);

	if (rc == OK)
		return OK;
	return ERR_WRAP(ei, ERR_NORMALIZE, "invalid resource uri");
}

/* For text that starts with file:// every backslash is a slash. Returns text itself when there is none. */
static struct span
unify_slashes(struct span text, struct arena *a)
{
	struct span prefix = span_of(text.p, text.n < 7 ? text.n : 7);

	if (!span_eq_nocase(prefix, SPAN_LIT("file://")) || span_find(text, '\\') == text.n)
		return text;
	char *copy = arena_dup_cstr(a, text);
	if (copy == NULL)
		return SPAN_NONE;
	for (size_t i = 0; i < text.n; i++) {
		if (copy[i] == '\\')
			copy[i] = '/';
	}
	return span_of(copy, text.n);
}

static enum err
normalize_builtin(struct span text, struct arena *a, struct resource *out, struct errinfo *ei)
{
	struct uri u;
	struct span unified = unify_slashes(text, a);

	if (unified.p == NULL)
		return ERR(ei, ERR_TOO_LARGE, "resource needs too much memory");
	enum err rc = parse_uri(unified, &u, ei);
	if (rc != OK)
		return rc;
	const struct scheme_row *row = find_scheme(u.scheme);
	if (row == NULL)
		return ERR(ei, ERR_NORMALIZE, "unsupported resource scheme \"%.*s\"",
			SPAN_ARG(u.scheme));
	return build(&u, row, a, out, ei);
}

/*
 * A custom action may name what the built-in schemes refuse (file://other/a). Its form under a built-in scheme must
 * then be one that the built-in rules refuse too or keep as it is: repo://org/A/ cleaned to repo://org/A would be a second
 * spelling of repo://org/a.
 */
static enum err
normalize_custom(struct span text, struct arena *a, struct resource *out, struct errinfo *ei)
{
	struct uri u;
	struct resource again;

	enum err rc = parse_uri(text, &u, ei);
	if (rc == OK)
		rc = build(&u, &CUSTOM_SCHEME, a, out, ei);
	if (rc != OK || find_scheme(u.scheme) == NULL)
		return rc;
	rc = normalize_builtin(out->text, a, &again, NULL);
	if (rc == ERR_NORMALIZE)
		return OK;
	if (rc == OK && span_eq(again.text, out->text)) {
		*out = again;
		return OK;
	}
	*out = (struct resource){.scheme = RESOURCE_CUSTOM};
	if (rc == OK)
		return ERR(ei, ERR_NORMALIZE, "resource is another spelling of %.*s",
			SPAN_ARG(again.text));
	return ERR(ei, rc, "resource needs too much memory");
}

static bool
has_builtin_scheme(struct span text)
{
	return find_scheme(span_of(text.p, span_find(text, ':'))) != NULL;
}

enum err
resource_normalize(
	struct span raw, bool custom, struct arena *a, struct resource *out, struct errinfo *ei)
{
	*out = (struct resource){.scheme = RESOURCE_CUSTOM};
	if (!utf8_is_valid(raw))
		return ERR(ei, ERR_NORMALIZE, "invalid resource uri: invalid UTF-8");
	struct span text = span_trim(raw);
	if (text.n == 0)
		return ERR(ei, ERR_NORMALIZE, "resource is required");
	if (!custom)
		return normalize_builtin(text, a, out, ei);
	if (has_builtin_scheme(text)) {
		enum err rc = normalize_builtin(text, a, out, NULL);
		if (rc != ERR_NORMALIZE)
			return rc;
	}
	return normalize_custom(text, a, out, ei);
}
