/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * One receiver and how it is posted to: its URL, which is never logged, the key of the signature and the connection
 * that is kept between calls. What the records' sink and the notices share. Blocking; the thread of one sink.
 */
#ifndef OUTBOUND_DELIVERY_H
#define OUTBOUND_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http.h"
#include "outbound/delivery_options.h"

struct delivery;

#define DELIVERY_HEADERS_MAX 8 /* of the caller */

/* Copies the options. ERR_INVALID (URL), ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err delivery_new(
	const struct delivery_options *o, struct delivery **out, struct errinfo *ei);
void delivery_free(struct delivery **d);
/*
 * POSTs body, with X-Nomos-Signature over it as it is sent. *status (0 on failure) is the answer, whatever it is. Never
 * ERR_INVALID: what cannot be sent is ERR_IO, so that it is not taken for an answer.
 */
MUSTCHECK enum err delivery_post(struct delivery *d, const struct http_header *headers, size_t n,
	struct span body, unsigned *status, struct errinfo *ei);
/* Any thread: a call that runs ends with ERR_STOPPED soon, later ones at once. */
void delivery_stop(struct delivery *d);

bool delivery_is_taken(unsigned status);
/* Whether the answer is about what was posted, so that no later try will change it: a 4xx that speaks neither of the
 * credential, the path, the time nor the rate. */
bool delivery_is_refused(unsigned status);

#endif
