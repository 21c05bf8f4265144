/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * X(NAME, http status, retryable, text): every error code of nomos, chosen by what the caller can
 * do about it. It feeds the enum, the names in logs and docs. Includers define X. Order is free but
 * for OK, which is zero.
 */
#include <stddef.h> /* so that the file compiles alone */

#ifdef X
X(OK, 200, 0, "ok")
X(ERR_PARSE, 400, 0, "malformed input")
X(ERR_INVALID, 400, 0, "a value breaks a rule")
X(ERR_NORMALIZE, 400, 0, "the resource has no normal form")
X(ERR_AUTH, 401, 0, "not authenticated")
X(ERR_FORBIDDEN, 403, 0, "not permitted")
X(ERR_NOT_FOUND, 404, 0, "not found")
X(ERR_CONFLICT, 409, 0, "conflicts with what is there")
X(ERR_TOO_LARGE, 413, 0, "over a limit")
X(ERR_RATE, 429, 1, "over a rate")
X(ERR_NOMEM, 503, 1, "out of memory")
X(ERR_OVERLOAD, 503, 1, "overloaded")
X(ERR_AUDIT, 503, 1, "the ledger or a required sink cannot take the record")
X(ERR_IO, 500, 1, "input or output failed")
X(ERR_TIMEOUT, 504, 1, "deadline passed")
X(ERR_CRYPTO, 500, 0, "a cryptographic operation failed")
X(ERR_CORRUPT, 500, 0, "stored data is damaged")
X(ERR_BUSY, 503, 1, "in use by another process")
X(ERR_UNSUPPORTED, 501, 0, "not supported")
X(ERR_STOPPED, 503, 1, "shutting down")
#endif
