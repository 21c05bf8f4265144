/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The defaults of request signatures, for an identity_section that no configuration was read for. */
#ifndef TESTS_SUPPORT_SIGNING_H
#define TESTS_SUPPORT_SIGNING_H

#include "base/span.h"

static const struct span signing_versions[] = {{"v1", 2}, {"v2", 2}};

#define SIGNING_DEFAULTS                                                                           \
	.signature_versions = {signing_versions, ARRAY_LEN(signing_versions)},                     \
	.signature_window_seconds = 300, .max_nonces = 4096, .max_nonces_per_signer = 1024

#endif
