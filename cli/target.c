/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* See target.h. */
#include "target.h"

#include <stdio.h>
#include <string.h>

#include "net/http_client.h"
#include "runtime/options.h"

#define UNIX_PREFIX "unix:"

static enum err
join(char *out, size_t size, struct span base, const char *path, struct errinfo *ei)
{
	int n = snprintf(out, size, "%.*s%s", SPAN_ARG(base), path);

	return n >= 0 && (size_t)n < size ? OK : ERR(ei, ERR_TOO_LARGE, "the URL is too long");
}

/* Over a unix socket the host is nobody's name. */
static enum err
use_unix(struct span file, bool is_tls, const char *path, struct target *out, struct errinfo *ei)
{
	if (file.n < 2 || file.p[0] != '/' || file.n >= sizeof(out->unix_path))
		return ERR(ei, ERR_INVALID,
			"unix: takes the whole path of a socket, of at most %zu bytes",
			sizeof(out->unix_path) - 1);
	memcpy(out->unix_path, file.p, file.n);
	return join(out->url, sizeof(out->url),
		is_tls ? SPAN_LIT("https://localhost") : SPAN_LIT("http://localhost"), path, ei);
}

static enum err
find_configured(const struct gateway_section *gateway, const char *path, struct target *out,
	struct errinfo *ei)
{
	char file[LISTENER_PATH_MAX];
	bool is_tls;

	if (gateway_section_find_unix(gateway, path, file, &is_tls))
		return use_unix(span_cstr(file), is_tls, path, out, ei);
	return gateway_section_build_url(gateway, path, out->url, sizeof(out->url), ei);
}

enum err
target_find(const struct target_flags *f, const struct gateway_section *gateway, const char *path,
	struct target *out, struct errinfo *ei)
{
	struct span base = span_cstr(f->url);
	enum err rc;

	memset(out, 0, sizeof(*out));
	if (f->url == NULL && gateway == NULL)
		return ERR(ei, ERR_INVALID, "--url or --config/-c is required (or NOMOS_CONFIG)");
	if (f->url == NULL)
		rc = find_configured(gateway, path, out, ei);
	else if (span_starts(base, SPAN_LIT(UNIX_PREFIX)))
		rc = use_unix(span_from(base, sizeof(UNIX_PREFIX) - 1), false, path, out, ei);
	else {
		while (base.n > 0 && base.p[base.n - 1] == '/')
			base.n--;
		rc = join(out->url, sizeof(out->url), base, path, ei);
	}
	if (rc == OK)
		snprintf(out->text, sizeof(out->text), "%s%s",
			out->unix_path[0] != '\0' ? UNIX_PREFIX : "",
			out->unix_path[0] != '\0' ? out->unix_path : out->url);
	return rc;
}

void
target_fill_call(const struct target *t, struct http_call *call)
{
	call->url = span_cstr(t->url);
	call->unix_path = t->unix_path[0] != '\0' ? t->unix_path : NULL;
}

void
target_fill_options(const struct target_flags *f, struct http_client_options *o)
{
	o->ca_file = f->ca_file;
	o->cert_file = f->cert_file;
	o->key_file = f->cert_key_file;
	o->allow_link_local = true; /* the operator typed the address */
}
