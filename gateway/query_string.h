/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The parameters behind the "?" of an operators' route. Pure; any thread. */
#ifndef GATEWAY_QUERY_STRING_H
#define GATEWAY_QUERY_STRING_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct arena;

#define QUERY_VALUE_BYTES_MAX 1024

/*
 * values[i] becomes the value of names[i], decoded in the arena: "+" is a blank, %XX a byte; empty when it is not there or
 * empty. ERR_INVALID: a name that is none of them or comes twice, a malformed escape, a control byte, invalid UTF-8, a value over
 * QUERY_VALUE_BYTES_MAX; ERR_NOMEM.
 */
MUSTCHECK enum err query_string_read(struct span query, const char *const *names, size_t n_names,
	struct span *values, struct arena *a, struct errinfo *ei);

#endif
