/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fetches keys. What the document says of itself must be what was configured: another issuer's is refused, and so is one that
 * names a place which others could change on the way. No redirects, bounded answers. Blocking.
 */
#include "identity/key_fetch.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/jose.h"
#include "base/json.h"
#include "net/http_client.h"

#define DISCOVERY_PATH "/.well-known/openid-configuration"
#define DISCOVERY_ARENA_BYTES (64 * JOSE_DOCUMENT_BYTES_MAX)

static bool
is_this_host(struct span url)
{
	static const struct span hosts[] = {{"127.0.0.1", 9}, {"[::1]", 5}, {"localhost", 9}};

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct span rest = url;

		if (!span_starts(url, hosts[i]))
			continue;
		rest = span_from(url, hosts[i].n);
		if (rest.n == 0 || rest.p[0] == ':' || rest.p[0] == '/')
			return true;
	}
	return false;
}

bool
key_source_is_safe_url(struct span url)
{
	struct span plain = SPAN_LIT("http://");
	struct errinfo ei;

	if (http_client_check_url(url, &ei) != OK)
		return false;
	return !span_starts(url, plain) ? span_starts(url, SPAN_LIT("https://"))
					: is_this_host(span_from(url, plain.n));
}

enum err
key_fetch_new_client(
	const struct key_source_options *options, struct http_client **out, struct errinfo *ei)
{
	struct http_client_options o;

	http_client_options_init(&o);
	o.max_reply_bytes = JOSE_DOCUMENT_BYTES_MAX;
	/* Texts of a configuration have a NUL behind them. */
	o.ca_file = options->ca_file.n > 0 ? options->ca_file.p : NULL;
	return http_client_new(&o, out, ei);
}

static enum err
get(struct http_client *client, struct span url, struct buf *out, struct errinfo *ei)
{
	static const struct http_header accept = {
		{"Accept", 6}, {"application/json, application/jwk-set+json", 42}};
	struct http_call call = {
		.is_get = true, .url = url, .headers = &accept, .n_headers = 1, .reply = out};
	enum err rc;

	buf_reset(out);
	rc = http_client_call(client, &call, ei);
	if (rc == OK && call.status != 200)
		rc = ERR(ei, ERR_IO, "the answer has status %u", call.status);
	return rc;
}

static struct span
text_of(const struct json *o, const char *name)
{
	const struct json *member = json_find_cstr(o, name);

	return member != NULL && member->type == JSON_STRING ? member->text : SPAN_NONE;
}

/* The member jwks_uri, in the arena. */
static enum err
read_discovery(
	struct span text, struct span issuer, struct arena *a, struct span *out, struct errinfo *ei)
{
	const struct json *root = NULL;
	enum err rc = json_parse(text, a, &root, NULL, ei);

	*out = SPAN_NONE;
	if (rc != OK)
		return rc;
	if (!span_eq(text_of(root, "issuer"), issuer))
		return ERR(ei, ERR_FORBIDDEN, "it is another issuer's");
	*out = text_of(root, "jwks_uri");
	if (!key_source_is_safe_url(*out))
		return ERR(ei, ERR_FORBIDDEN, "jwks_uri is not https");
	return OK;
}

static enum err
discover(struct http_client *client, struct span issuer, struct arena *a, struct span *out,
	struct errinfo *ei)
{
	struct span base = issuer;
	struct buf text;
	enum err rc;

	while (base.n > 0 && base.p[base.n - 1] == '/')
		base.n--;
	struct span url = arena_printf(a, "%.*s" DISCOVERY_PATH, SPAN_ARG(base));
	if (url.p == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	buf_init(&text, JOSE_DOCUMENT_BYTES_MAX);
	rc = get(client, url, &text, ei);
	if (rc == OK)
		rc = read_discovery(arena_dup(a, buf_span(&text)), issuer, a, out, ei);
	buf_fini(&text);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "discovery document");
}

static enum err
fetch(struct http_client *client, const struct key_source_options *options, struct arena *a,
	struct jose_keys **out, struct errinfo *ei)
{
	struct span url = options->jwks_uri;
	struct buf text;
	enum err rc = OK;

	if (url.n == 0)
		rc = discover(client, options->issuer, a, &url, ei);
	if (rc != OK)
		return rc;
	buf_init(&text, JOSE_DOCUMENT_BYTES_MAX);
	rc = get(client, url, &text, ei);
	if (rc == OK)
		rc = jose_keys_parse(buf_span(&text), out, ei);
	buf_fini(&text);
	return rc == OK ? OK : ERR_WRAP(ei, rc, "keys");
}

enum err
key_fetch(struct http_client *client, const struct key_source_options *options,
	struct jose_keys **out, struct errinfo *ei)
{
	struct arena *a = arena_new(DISCOVERY_ARENA_BYTES);
	enum err rc;

	*out = NULL;
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	rc = fetch(client, options, a, out, ei);
	arena_free(&a);
	return rc;
}

enum err
key_source_try(const struct key_source_options *options, struct jose_keys **out, struct errinfo *ei)
{
	struct http_client *client = NULL;
	enum err rc = key_fetch_new_client(options, &client, ei);

	*out = NULL;
	if (rc == OK)
		rc = key_fetch(client, options, out, ei);
	http_client_free(&client);
	return rc;
}
