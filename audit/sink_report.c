/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The cursors and statuses of a ledger's file. It never writes. Blocking; the command line's thread. */
#include "audit/sink_report.h"

#include <stdio.h>
#include <string.h>

#include "audit/source.h"
#include "audit/store.h"
#include "base/buf.h"
#include "base/clock.h"
#include "sink_status.h"

#define SINKS_MAX 64

struct place {
	char name[SINK_TEXT_MAX];
	uint64_t seq;
};

struct places {
	struct place v[SINKS_MAX];
	size_t n;
};

static bool
keep_place(struct span name, uint64_t seq, void *arg)
{
	struct places *p = arg;
	struct place *to = &p->v[p->n];

	snprintf(to->name, sizeof(to->name), "%.*s", SPAN_ARG(name));
	to->seq = seq;
	p->n++;
	return p->n < SINKS_MAX;
}

static bool
read_time(const struct store_row *row, void *arg)
{
	struct chain_fields f;

	if (!chain_read_fields(row->body, &f) || clock_parse(f.timestamp, arg, NULL) != OK)
		*(int64_t *)arg = 0;
	return false;
}

/* The age of the first record behind seq. */
static enum err
read_age(
	struct store_reader *r, uint64_t seq, int64_t now_wall_ns, int64_t *out, struct errinfo *ei)
{
	int64_t wall_ns = 0;
	size_t n = 0;
	enum err rc = store_reader_page(r, seq, 1, read_time, &wall_ns, &n, ei);

	*out = wall_ns > 0 && now_wall_ns > wall_ns ? now_wall_ns - wall_ns : 0;
	return rc;
}

/* A sink of an older version has none. */
static enum err
read_status(struct store_reader *r, const char *name, struct sink_status *out, struct errinfo *ei)
{
	char key[SINK_TEXT_MAX + sizeof(SINK_STATUS_META)];
	struct buf text;

	*out = (struct sink_status){.is_required = false};
	snprintf(key, sizeof(key), SINK_STATUS_META "%s", name);
	buf_init(&text, SINK_STATUS_BYTES_MAX);
	enum err rc = store_reader_meta(r, key, &text, ei);
	if (rc == OK && (buf_failed(&text) || sink_status_parse(buf_span(&text), out, NULL) != OK))
		*out = (struct sink_status){.is_required = false};
	buf_fini(&text);
	return rc == ERR_NOT_FOUND ? OK : rc;
}

enum err
sink_report_each(
	struct source *s, int64_t now_wall_ns, sink_report_fn visit, void *arg, struct errinfo *ei)
{
	struct store_reader *r = source_get_reader(s);
	uint64_t head = source_get_head(s).seq;
	struct places places = {.n = 0};
	struct sink_status status;

	if (source_get_kind(s) != SOURCE_LEDGER)
		return ERR(ei, ERR_INVALID, "an export has no sinks; give the ledger");
	enum err rc = store_reader_each_cursor(r, keep_place, &places, ei);
	for (size_t i = 0; rc == OK && i < places.n; i++) {
		const struct place *p = &places.v[i];
		struct sink_report report = {.name = p->name,
			.taken = p->seq,
			.n_behind = head > p->seq ? head - p->seq : 0};
		rc = read_status(r, p->name, &status, ei);
		if (rc == OK && report.n_behind > 0)
			rc = read_age(r, p->seq, now_wall_ns, &report.behind_ns, ei);
		report.target = status.target;
		report.is_required = status.is_required;
		report.error = status.error;
		report.since = status.since;
		report.n_dead = status.n_dead;
		report.last_dead = status.last_dead;
		if (rc == OK && !visit(&report, arg))
			break;
	}
	return rc;
}
