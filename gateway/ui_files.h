/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The files of the operator page as they were at build time. Static; any thread. */
#ifndef GATEWAY_UI_FILES_H
#define GATEWAY_UI_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/span.h"

struct embedded_file {
	const char *name;   /* "app.js" */
	const char *sha256; /* lower-case hex, of the plain bytes */
	struct span plain;
	struct span gzipped;
};

/* Every file of ui/; *n is their number. */
const struct embedded_file *ui_files_get(size_t *n);

/* Whether an Accept-Encoding value takes gzip (RFC 9110 12.5.3); an absent one does not. */
bool ui_accepts_gzip(struct span accept_encoding);
/* Whether an If-None-Match value names the tag, weakly compared (RFC 9110 13.1.2); tag is with its quotes. */
bool ui_is_same_tag(struct span if_none_match, struct span tag);

#endif
