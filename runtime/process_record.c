/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Records about the process itself: that it started with a policy, that a reload took effect or was refused. They are
 * what makes every later decision in the ledger attributable to a policy that is named before it.
 */
#include "runtime.h"

#include "audit/ledger.h"
#include "audit/record.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/version.h"
#include "pipeline/snapshot.h"
#include "policy/policy.h"

#define RECORD_ARENA_BYTES (512 * 1024)

struct submission {
	struct ledger_entry entry; /* first: done casts back */
	struct process_record what;
	struct arena *arena;
	struct record_text text;
};

static void
free_submission(struct submission *s)
{
	arena_free(&s->arena);
	mem_free(s);
}

static enum err
append(struct ledger_tx *tx, struct ledger_entry *e, struct errinfo *ei)
{
	struct submission *s = (struct submission *)(void *)e;

	return ledger_tx_append(tx, &s->text, LEDGER_COMPLETE, &e->seq, ei);
}

static void
finish(struct ledger_entry *e)
{
	struct submission *s = (struct submission *)(void *)e;

	s->what.done(s->what.arg, e->result, &e->ei);
	free_submission(s);
}

static enum err
render(struct submission *s, struct errinfo *ei)
{
	const struct process_record *p = &s->what;
	struct record *rec = record_new(s->arena, p->event_type);
	struct buf meta;

	if (rec == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	buf_init_arena(&meta, s->arena, 256);
	if (p->trigger != NULL) {
		BUF_ADD_LIT(&meta, "{\"trigger\":");
		json_quote(&meta, span_cstr(p->trigger));
		buf_add_char(&meta, '}');
	}
	record_set_text(rec, RECORD_SCHEMA_VERSION, SPAN_LIT("v1"));
	record_set_text(rec, RECORD_ENGINE_VERSION, span_cstr(version_get()->version));
	record_set_text(rec, RECORD_OUTCOME, span_cstr(p->outcome));
	record_set_text(rec, RECORD_PRINCIPAL, p->principal);
	record_set_text(rec, RECORD_REASON, p->reason);
	record_set_json(rec, RECORD_EXECUTOR_METADATA, buf_span(&meta));
	if (p->snapshot != NULL) {
		const struct policy *policy = snapshot_get_policy(p->snapshot);

		record_set_text(rec, RECORD_POLICY_BUNDLE_HASH, span_cstr(policy_get_hash(policy)));
		record_set_json(rec, RECORD_POLICY_BUNDLE_SOURCES, policy_get_sources_json(policy));
		record_set_json(rec, RECORD_POLICY_BUNDLE_INPUTS, policy_get_inputs_json(policy));
		record_set_text(rec, RECORD_ASSURANCE_LEVEL,
			span_cstr(snapshot_get_assurance(p->snapshot)));
	}
	const struct redactor *redactor =
		p->snapshot != NULL ? snapshot_get_redactor(p->snapshot) : NULL;
	return record_render(rec, redactor, s->arena, &s->text, ei);
}

enum err
process_record_submit(struct runtime *r, const struct process_record *p, struct errinfo *ei)
{
	struct submission *s = mem_zalloc(1, sizeof(*s));

	if (s == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	s->what = *p;
	s->arena = arena_new(RECORD_ARENA_BYTES);
	enum err rc = s->arena != NULL ? render(s, ei) : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK) {
		s->entry.loop = r->loop;
		s->entry.apply = append;
		s->entry.done = finish;
		s->entry.must_write = p->must_write;
		rc = ledger_submit(r->ledger, &s->entry, ei);
	}
	if (rc != OK)
		free_submission(s);
	return rc;
}
