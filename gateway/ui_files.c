/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /ui, /ui/, /ui/FILE (nomos-http.md 1.10): the operator page, public because it holds nothing but itself. Its headers let it run
 * only its own files and talk only to its own host: what a record holds cannot become script, and no page can frame it. Worker's
 * thread.
 */
#include "ui_files.h"

#include <stdio.h>

#include "routes.h"

#define CONTENT_SECURITY_POLICY                                                                    \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "          \
	"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
#define TAG_BYTES_MAX 80
#define FILE_HEADERS_MAX 12

/* An element of a comma-separated list, trimmed; the rest of the list stays in *list. */
static struct span
take_element(struct span *list)
{
	size_t comma = span_find(*list, ',');
	struct span element = span_trim(span_of(list->p, comma));

	*list = comma < list->n ? span_from(*list, comma + 1) : SPAN_NONE;
	return element;
}

/* ";q=0", ";q=0.0", ...: the coding is refused. Any other weight takes it. */
static bool
is_refused(struct span parameters)
{
	size_t equals = span_find(parameters, '=');

	if (equals == parameters.n)
		return false;
	struct span weight = span_trim(span_from(parameters, equals + 1));
	for (size_t i = 0; i < weight.n; i++) {
		if (weight.p[i] >= '1' && weight.p[i] <= '9')
			return false;
	}
	return true;
}

bool
ui_accepts_gzip(struct span accept_encoding)
{
	while (accept_encoding.n > 0) {
		struct span element = take_element(&accept_encoding);
		size_t semicolon = span_find(element, ';');
		struct span coding = span_trim(span_of(element.p, semicolon));
		if (span_eq_nocase(coding, SPAN_LIT("gzip")))
			return !is_refused(span_from(element, semicolon));
	}
	return false;
}

bool
ui_is_same_tag(struct span if_none_match, struct span tag)
{
	while (if_none_match.n > 0) {
		struct span element = take_element(&if_none_match);
		if (span_starts(element, SPAN_LIT("W/")))
			element = span_from(element, 2);
		if (span_eq(element, tag) || span_eq(element, SPAN_LIT("*")))
			return true;
	}
	return false;
}

static struct span
type_of(struct span name)
{
	static const struct {
		const char *ending;
		const char *type;
	} types[] = {{".html", "text/html; charset=utf-8"},
		{".js", "text/javascript; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
		{".svg", "image/svg+xml"}, {".png", "image/png"}, {".ico", "image/x-icon"},
		{".webmanifest", "application/manifest+json"}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (span_ends(name, span_cstr(types[i].ending)))
			return span_cstr(types[i].type);
	}
	return SPAN_LIT("application/octet-stream");
}

static void
send_file(struct http_request *http, const struct embedded_file *file)
{
	bool is_gzip = ui_accepts_gzip(http_request_find_header(http, SPAN_LIT("Accept-Encoding")));
	char bytes[TAG_BYTES_MAX];
	/* Another coding is another representation, with a tag of its own. */
	int len = snprintf(bytes, sizeof(bytes), "\"%s%s\"", file->sha256, is_gzip ? "-gzip" : "");
	struct span tag = span_of(bytes, (size_t)len);
	bool is_known =
		ui_is_same_tag(http_request_find_header(http, SPAN_LIT("If-None-Match")), tag);
	struct http_header headers[FILE_HEADERS_MAX] = {
		{SPAN_LIT("ETag"), tag},
		{SPAN_LIT("Cache-Control"), SPAN_LIT("no-cache")},
		{SPAN_LIT("Vary"), SPAN_LIT("Accept-Encoding")},
		{SPAN_LIT("Content-Security-Policy"), SPAN_LIT(CONTENT_SECURITY_POLICY)},
		{SPAN_LIT("X-Content-Type-Options"), SPAN_LIT("nosniff")},
		{SPAN_LIT("X-Frame-Options"), SPAN_LIT("DENY")},
		{SPAN_LIT("Referrer-Policy"), SPAN_LIT("no-referrer")},
		{SPAN_LIT("Cross-Origin-Opener-Policy"), SPAN_LIT("same-origin")},
		{SPAN_LIT("Cross-Origin-Resource-Policy"), SPAN_LIT("same-origin")},
	};
	size_t n = 9;

	if (is_known) {
		http_request_reply(http, 304, headers, n, SPAN_NONE);
		return;
	}
	headers[n++] =
		(struct http_header){SPAN_LIT("Content-Type"), type_of(span_cstr(file->name))};
	if (is_gzip)
		headers[n++] = (struct http_header){SPAN_LIT("Content-Encoding"), SPAN_LIT("gzip")};
	http_request_reply(http, 200, headers, n, is_gzip ? file->gzipped : file->plain);
}

static void
send_named(struct http_request *http, struct span name)
{
	size_t n = 0;
	const struct embedded_file *files = ui_files_get(&n);

	for (size_t i = 0; i < n; i++) {
		if (span_eq_cstr(name, files[i].name)) {
			send_file(http, &files[i]);
			return;
		}
	}
	reply_error(http, 404, "not_found", SPAN_LIT("no such file"), 0);
}

void
api_ui_redirect(const struct exchange *x)
{
	static const struct http_header location = {{"Location", 8}, {"/ui/", 4}};

	http_request_reply(x->http, 307, &location, 1, SPAN_NONE);
}

void
api_ui_index(const struct exchange *x)
{
	send_named(x->http, SPAN_LIT("index.html"));
}

void
api_ui_file(const struct exchange *x)
{
	send_named(x->http, x->id);
}
