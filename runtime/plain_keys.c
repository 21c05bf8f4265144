/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Keys in clear work, and whoever reads the configuration has them. Any thread. */
#include "plain_keys.h"

#include "base/log.h"
#include "pipeline/snapshot.h"

void
plain_keys_warn(const struct snapshot *s)
{
	size_t n = snapshot_count_plain_keys(s);

	if (n > 0)
		log_warn(NULL,
			"API keys stand in clear in the configuration (identity.api_keys: %zu): "
			"make new ones with `nomos keys new --principal NAME`, put their rows into "
			"identity.hashed_keys, switch the clients and remove these",
			n);
}
