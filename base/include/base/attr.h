/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Compiler attributes under names of our own, so that gcc and clang read the same source. */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#include <stddef.h>

#define MUSTCHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define NORETURN __attribute__((noreturn))
#define RETURNS_NONNULL __attribute__((returns_nonnull))
#define UNUSED __attribute__((unused))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
