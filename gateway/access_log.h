/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The log of answers. Worker's thread. */
#ifndef GATEWAY_ACCESS_LOG_H
#define GATEWAY_ACCESS_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "pipeline/options.h"

/* One answer; spans may be empty. Borrowed. */
struct access_line {
	struct span request_id;
	struct span client; /* numeric address */
	const char *method;
	struct span path; /* without the query */
	struct span user_agent;
	unsigned status;
	size_t n_bytes; /* of the body; of a stream 0 */
	int64_t took_ns;
};

/* Nothing for ACCESS_LOG_OFF. */
void access_log_put(enum access_log format, const struct access_line *a);

#endif
