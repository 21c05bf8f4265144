/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Error values. A function that can fail returns enum err, sets its out-parameters to their empty
 * value first, and writes *ei only on failure. errinfo lives on the caller's stack and never
 * allocates. Each layer adds one clause of context or none; an error is logged once, where it is
 * handled.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

#include "base/attr.h"

enum err {
#define X(name, status, retryable, text) name,
#include "base/err_tbl.h"
#undef X
	ERR__MAX
};

#define ERRINFO_MAX 512

struct errinfo {
	enum err code;
	char msg[ERRINFO_MAX]; /* NUL-terminated UTF-8, cut with "..." when too long */
};

/* "ERR_PARSE" for ERR_PARSE; "OK" for OK. Static string, any thread. */
const char *err_name(enum err code);
/* The table's text. Static string, any thread. */
const char *err_text(enum err code);
/* Whether trying again later can help. */
bool err_is_retryable(enum err code);

/* Sets *ei (which may be NULL) and returns code. Use the macro. */
enum err err_set(struct errinfo *ei, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " before the message that *ei (may be NULL) holds and returns code. Use the
 * macro. */
enum err err_wrap(struct errinfo *ei, enum err code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* As err_set, with ": " and the system's text for errnum behind the message. Use the macro. */
enum err err_set_errno(struct errinfo *ei, enum err code, int errnum, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* The value is the code itself, which tells a reader and an analyser that an error never becomes OK. */
#define ERR(ei, code, ...) (err_set((ei), (code), __VA_ARGS__), (enum err)(code))
#define ERR_WRAP(ei, code, ...) (err_wrap((ei), (code), __VA_ARGS__), (enum err)(code))
#define ERR_ERRNO(ei, code, errnum, ...)                                                           \
	(err_set_errno((ei), (code), (errnum), __VA_ARGS__), (enum err)(code))

#endif
