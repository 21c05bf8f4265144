/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Prefer (RFC 7240): of its preferences we know `wait`. Pure. */
#ifndef GATEWAY_PREFER_H
#define GATEWAY_PREFER_H

#include <stddef.h>
#include <stdint.h>

#include "net/http.h"

#define PREFER_WAIT_MAX UINT32_C(1000000)

/* Seconds of the first `wait` in the Prefer lines; 0 when there is none, or it is no number of 1 to PREFER_WAIT_MAX: a preference
 * that cannot be read is no preference. */
uint32_t prefer_read_wait(const struct http_header *headers, size_t n);

#endif
