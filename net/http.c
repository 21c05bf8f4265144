/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of HTTP words and the character classes of header names and values. Must never be laxer
 * than RFC 9110 5. Pure; any thread.
 */
#include "net/http.h"

#include <stdint.h>

/* Index is the method. */
static const char *const method_texts[HTTP_METHOD__MAX] = {
	"",
	"GET",
	"HEAD",
	"POST",
	"PUT",
	"DELETE",
	"OPTIONS",
	"PATCH",
	"TRACE",
};

static const struct {
	unsigned status;
	const char *text;
} status_texts[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{204, "No Content"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{415, "Unsupported Media Type"},
	{417, "Expectation Failed"},
	{422, "Unprocessable Content"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

enum http_method
http_method_parse(struct span text)
{
	for (int m = HTTP_METHOD_UNKNOWN + 1; m < HTTP_METHOD__MAX; m++) {
		if (span_eq_cstr(text, method_texts[m]))
			return (enum http_method)m;
	}
	return HTTP_METHOD_UNKNOWN;
}

const char *
http_method_text(enum http_method method)
{
	return method < HTTP_METHOD__MAX ? method_texts[method] : "";
}

const char *
http_status_text(unsigned status)
{
	for (size_t i = 0; i < ARRAY_LEN(status_texts); i++) {
		if (status_texts[i].status == status)
			return status_texts[i].text;
	}
	return "Status";
}

static bool
is_tchar(unsigned char c)
{
	/* One bit for each of the 128 ASCII codes: letters, digits and !#$%&'*+-.^_`|~ */
	static const uint32_t bits[4] = {0, 0x03ff6cfa, 0xc7fffffe, 0x57ffffff};

	/* Nearly all are letters. */
	return (unsigned char)((c | 0x20) - 'a') < 26 ||
	       (c < 128 && (bits[c / 32] >> (c % 32) & 1) != 0);
}

bool
http_is_token(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!is_tchar((unsigned char)s.p[i]))
			return false;
	}
	return s.n > 0;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

bool
http_is_header_value(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return s.n == 0 || (!is_blank(s.p[0]) && !is_blank(s.p[s.n - 1]));
}
