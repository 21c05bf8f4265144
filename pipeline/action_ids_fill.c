/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * After a start the newest records fill the table of action ids, beside the requests that come in meanwhile: read on a pool
 * thread, put on the ledger's. So much is looked back to; a failure costs only that.
 */
#include "action_ids_fill.h"

#include <string.h>

#include "audit/chain.h"
#include "audit/store.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "req_state.h"

enum {
	RECORDS_MAX = 16384,
	IDENTITY_BYTES_MAX = 4096,
	ARENA_BYTES = 4 * 1024 * 1024,
};

struct known {
	struct action_id_key key;
	char binding[ACTION_ID_BINDING];
	int64_t at_wall_ns;
};

struct fill {
	struct workq_item item;
	struct ledger_entry entry;
	struct pipeline *pipeline;
	size_t n_max; /* of the table */
	struct arena *arena;
	struct known *known;
	size_t n;
	uint64_t last; /* record that was read */
};

static struct span
text_of(const struct json *record, const char *name)
{
	const struct json *v = json_find_cstr(record, name);

	return v != NULL && v->type == JSON_STRING ? v->text : SPAN_NONE;
}

/* As steps.c joins them. */
static bool
join_identity(const struct json *record, struct buf *b)
{
	buf_add_span(b, text_of(record, "principal"));
	buf_add_char(b, '\0');
	buf_add_span(b, text_of(record, "agent"));
	buf_add_char(b, '\0');
	buf_add_span(b, text_of(record, "environment"));
	return !buf_failed(b);
}

static void
keep_use(struct fill *f, const struct json *record)
{
	struct known *k = &f->known[f->n];
	struct span binding = text_of(record, "binding_hash");
	struct buf b;

	buf_init_arena(&b, f->arena, IDENTITY_BYTES_MAX);
	if (binding.n < ACTION_ID_BINDING || !join_identity(record, &b) ||
		clock_parse(text_of(record, "timestamp"), &k->at_wall_ns, NULL) != OK)
		return;
	k->key = action_id_key(buf_span(&b), text_of(record, "action_id"));
	memcpy(k->binding, binding.p, sizeof(k->binding));
	f->n++;
}

static bool
see(const struct store_row *row, void *arg)
{
	struct fill *f = arg;
	const struct json *record = NULL;

	arena_reset(f->arena);
	f->last = row->seq;
	if (json_parse(row->body, f->arena, &record, NULL, NULL) == OK &&
		span_eq_cstr(text_of(record, "event_type"), "action.decision") &&
		!span_eq_cstr(text_of(record, "decision"), "DENY"))
		keep_use(f, record);
	return f->n < RECORDS_MAX;
}

static enum err
read_records(struct fill *f, struct errinfo *ei)
{
	struct store_reader *reader = NULL;
	struct chain_head head;
	size_t n = 1;
	enum err rc = store_reader_open(
		ledger_get_path(f->pipeline->ledger), STORE_READ_LIVE, &reader, ei);

	if (rc == OK)
		rc = store_reader_head(reader, &head, ei);
	if (rc == OK)
		f->last = head.seq > RECORDS_MAX ? head.seq - RECORDS_MAX : 0;
	while (rc == OK && n > 0 && f->last < head.seq && f->n < RECORDS_MAX)
		rc = store_reader_page(reader, f->last, STORE_PAGE_MAX, see, f, &n, ei);
	store_reader_free(&reader);
	return rc;
}

static void
process(struct workq_item *item)
{
	struct fill *f = CONTAINER_OF(item, struct fill, item);
	struct errinfo ei;

	if (read_records(f, &ei) != OK)
		log_warn(NULL, "action ids of before the start are not known: %s", ei.msg);
}

static void
end(struct fill *f)
{
	f->pipeline->is_filling = false;
	arena_free(&f->arena);
	mem_free(f->known);
	mem_free(f);
}

static enum err
apply(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct fill *f = CONTAINER_OF(e, struct fill, entry);
	struct action_ids *t = pipeline_need_action_ids(f->pipeline, f->n_max);

	(void)tx;
	(void)ei;
	for (size_t i = 0; i < f->n; i++)
		(void)action_ids_put(t, &f->known[i].key,
			span_of(f->known[i].binding, ACTION_ID_BINDING), f->known[i].at_wall_ns);
	return OK;
}

static void
applied(struct ledger_entry *e)
{
	end(CONTAINER_OF(e, struct fill, entry));
}

static void
processed(struct workq_item *item)
{
	struct fill *f = CONTAINER_OF(item, struct fill, item);
	struct errinfo ei;

	f->entry = (struct ledger_entry){.loop = item->loop, .apply = apply, .done = applied};
	if (f->n == 0 || ledger_submit(f->pipeline->ledger, &f->entry, &ei) != OK)
		end(f);
}

void
action_ids_fill(struct pipeline *p, size_t n_max, struct loop *loop)
{
	struct fill *f =
		n_max > 0 && ledger_get_path(p->ledger) != NULL ? mem_zalloc(1, sizeof(*f)) : NULL;

	if (f == NULL)
		return;
	f->pipeline = p;
	f->n_max = n_max;
	f->arena = arena_new(ARENA_BYTES);
	f->known = mem_zalloc(RECORDS_MAX, sizeof(f->known[0]));
	f->item = (struct workq_item){.loop = loop, .process = process, .done = processed};
	p->is_filling = true;
	if (f->arena == NULL || f->known == NULL || workq_submit(p->pool, &f->item) != OK)
		end(f);
}
