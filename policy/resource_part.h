/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Host and path rules that the resource schemes share (nomos-policy.md 4.3, 4.4). Private to the policy module. Each appends
 * a normal form to out and returns ERR_NORMALIZE with the reference's words, or ERR_TOO_LARGE when out is full.
 */
#ifndef POLICY_RESOURCE_PART_H
#define POLICY_RESOURCE_PART_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;
struct buf;

/* The words of the reference differ per scheme. */
struct path_words {
	const char *kind;      /* "file", "url", "custom resource" */
	const char *traversal; /* "file path traversal detected" */
	const char *missing;   /* error for an empty path, or NULL when that means "/" */
};

/* escaped: a path as written in the URI. Appends it decoded once, cleaned, with its leading "/". */
MUSTCHECK enum err resource_add_path(
	struct span escaped, const struct path_words *words, struct buf *out, struct errinfo *ei);
/* The path rule of repo and secret: exactly one segment, lower-cased. kind: "repo" or "secret". */
MUSTCHECK enum err resource_add_name(struct span escaped, const char *kind, struct arena *a,
	struct buf *out, struct errinfo *ei);
/* The host rule of url and custom resources: lower case, ports 80 and 443 and an empty port dropped. */
MUSTCHECK enum err resource_add_host(struct span host, struct buf *out, struct errinfo *ei);

#endif
