/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Random numbers from OpenSSL's generator. Any thread. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"

/* ERR_CRYPTO when the generator fails; *out is zeroed then and must not be used. */
MUSTCHECK enum err rand_bytes(void *out, size_t n, struct errinfo *ei);

#endif
