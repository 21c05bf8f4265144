/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic URI split that resources go through first (RFC 3986 shapes, with the rejections of
 * nomos-policy.md 4.2). Spans borrow from the input. Pure; any thread.
 */
#ifndef BASE_URI_H
#define BASE_URI_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct buf;

struct uri {
	struct span scheme;   /* as written; empty when there is none */
	struct span userinfo; /* without the @ */
	struct span host;     /* with the port, as written; brackets kept */
	struct span path;     /* escaped form, as written */
	struct span query;    /* without the ? */
	struct span fragment; /* without the # */
	bool has_authority;
	bool has_userinfo;
	bool has_query;
	bool has_fragment;
};

/*
 * ERR_PARSE with the reference's wording, e.g. `invalid URL escape "%zz"`, without the "invalid
 * resource uri" prefix.
 */
MUSTCHECK enum err uri_parse(struct span text, struct uri *out, struct errinfo *ei);
/*
 * Appends s with %XX decoded once. In what uri_parse checked every % is followed by two hex digits;
 * any other % stays.
 */
void uri_decode(struct buf *b, struct span s);

#endif
