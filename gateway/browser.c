/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reading of Cookie (RFC 6265 5.4), Origin (RFC 6454) and Sec-Fetch-Site; what is doubled or unclear counts as hostile. */
#include "browser.h"

#include "net/http_server.h"

size_t
browser_find_cookie(struct span line, struct span name, struct span *value)
{
	size_t n = 0;

	*value = SPAN_NONE;
	while (line.n > 0) {
		size_t end = span_find(line, ';');
		struct span pair = span_trim(span_of(line.p, end));
		size_t equals = span_find(pair, '=');
		if (equals < pair.n && span_eq(span_of(pair.p, equals), name)) {
			*value = span_from(pair, equals + 1);
			n++;
		}
		line = end < line.n ? span_from(line, end + 1) : SPAN_NONE;
	}
	return n;
}

bool
browser_is_origin_of(struct span origin, struct span host)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		struct span scheme = span_cstr(schemes[i]);
		if (host.n > 0 && span_starts(origin, scheme) &&
			span_eq_nocase(span_from(origin, scheme.n), host))
			return true;
	}
	return false;
}

struct span
browser_get_cookie(const struct http_request *http, struct span name)
{
	const struct http_header *headers;
	size_t n_headers = http_request_get_headers(http, &headers);
	struct span found = SPAN_NONE;
	size_t n = 0;

	for (size_t i = 0; i < n_headers; i++) {
		struct span value;
		if (!span_eq_nocase(headers[i].name, SPAN_LIT("Cookie")))
			continue;
		n += browser_find_cookie(headers[i].value, name, &value);
		if (value.n > 0)
			found = value;
	}
	return n == 1 ? found : SPAN_NONE;
}

enum browser_site
browser_get_site(const struct http_request *http)
{
	struct span site = http_request_find_header(http, SPAN_LIT("Sec-Fetch-Site"));
	struct span origin = http_request_find_header(http, SPAN_LIT("Origin"));
	struct span host = http_request_find_header(http, SPAN_LIT("Host"));
	bool is_own_site = span_eq(site, SPAN_LIT("same-origin"));

	if (http_request_count_header(http, SPAN_LIT("Sec-Fetch-Site")) > 1 ||
		http_request_count_header(http, SPAN_LIT("Origin")) > 1)
		return SITE_OTHER;
	if (origin.n > 0 && !browser_is_origin_of(origin, host))
		return SITE_OTHER;
	if (site.n == 0)
		return origin.n > 0 ? SITE_OWN : SITE_UNKNOWN;
	if (is_own_site)
		return SITE_OWN;
	return span_eq(site, SPAN_LIT("none")) && origin.n == 0 ? SITE_NONE : SITE_OTHER;
}
