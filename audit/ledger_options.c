/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* What a ledger is opened with, and whether it can be. Pure. */
#include <string.h>

#include "ledger_priv.h"

#define PATH_BYTES_MAX 4000 /* PATH_MAX with room for the suffixes */

void
ledger_options_init(struct ledger_options *o)
{
	*o = (struct ledger_options){
		.checkpoint_every = 1024,
		.queue_max = 8192,
		.group_max = 256,
		.busy_timeout_ms = 2000,
		.sink_deadline_ms = 2000,
		.ring_bytes = 4 * 1024 * 1024,
		.retention = {.segment_records = 100000,
			.look_ms = 60000,
			.report_window_s = 86400},
	};
}

static bool
is_within(uint32_t v, uint32_t min, uint32_t max)
{
	return v >= min && v <= max;
}

static enum err
check_required(const struct ledger_options *o, struct errinfo *ei)
{
	size_t n_counted = 0;

	for (size_t i = 0; i < o->n_sinks; i++) {
		const struct sink *s = o->sinks[i];
		if (s->batch_max > SINK_BATCH_MAX || s->name == NULL || s->name[0] == '\0')
			return ERR(ei, ERR_INVALID,
				"audit sink %zu has no name or too large a batch", i + 1);
		for (size_t k = 0; k < i; k++) {
			if (strcmp(o->sinks[k]->name, s->name) == 0)
				return ERR(
					ei, ERR_INVALID, "two audit sinks are named %s", s->name);
		}
		n_counted +=
			!s->is_advisory && (o->required != LEDGER_REQUIRED_NAMED || s->is_required);
	}
	if (o->required != LEDGER_REQUIRED_LEDGER && n_counted == 0)
		return ERR(ei, ERR_INVALID, "audit.required asks for a sink, but there is none");
	if (o->required == LEDGER_REQUIRED_LEDGER && o->store == LEDGER_STORE_NONE)
		return ERR(ei, ERR_INVALID, "without a ledger file a sink must be required");
	return OK;
}

static bool
is_too_long(const char *path)
{
	return path != NULL && strlen(path) >= PATH_BYTES_MAX;
}

enum err
ledger_check_options(const struct ledger_options *o, struct errinfo *ei)
{
	if (o->store == LEDGER_STORE_SQLITE && (o->path == NULL || o->path[0] == '\0'))
		return ERR(ei, ERR_INVALID, "ledger.path is empty");
	if (is_too_long(o->path) || is_too_long(o->key_path))
		return ERR(ei, ERR_INVALID, "a path of the ledger is too long");
	if (!is_within(o->checkpoint_every, 1, 1000000) || !is_within(o->queue_max, 1, 1000000) ||
		!is_within(o->group_max, 1, 4096) || !is_within(o->sink_deadline_ms, 1, 600000) ||
		!is_within(o->busy_timeout_ms, 0, 600000) ||
		!is_within(o->ring_bytes, 1u << 20, 1u << 30))
		return ERR(ei, ERR_INVALID, "an option of the ledger is out of range");
	return check_required(o, ei);
}
