/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The type of a plain YAML scalar. Private to base. */
#ifndef BASE_YAML_SCALAR_H
#define BASE_YAML_SCALAR_H

#include "base/attr.h"
#include "base/json.h"

struct arena;

/*
 * Sets type, text and boolean of v from the plain scalar, as Go's yaml.v3 types an untyped value. A
 * number's text is always one that JSON allows. False when the arena is full.
 */
MUSTCHECK bool yaml_scalar_resolve(struct span plain, struct arena *a, struct json *v);

#endif
