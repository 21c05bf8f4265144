/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* One fetch of an issuer's keys: the discovery document, then the set it names. Blocking; never on a loop. */
#ifndef PIPELINE_KEY_FETCH_H
#define PIPELINE_KEY_FETCH_H

#include "base/attr.h"
#include "base/err.h"
#include "pipeline/key_ring.h"

struct http_client;

/* For fetches with these options. ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err key_fetch_new_client(
	const struct key_source_options *options, struct http_client **out, struct errinfo *ei);
/* ERR_* with what went wrong, never a host path. */
MUSTCHECK enum err key_fetch(struct http_client *client, const struct key_source_options *options,
	struct jose_keys **out, struct errinfo *ei);

#endif
