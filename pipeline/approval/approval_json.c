/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored form of an approval: canonical JSON with exactly these members. What is read is written again and compared, so that a
 * row which is not exactly what this program writes is never believed.
 */
#include "approval/approval.h"

#include <stdio.h>

#include "approval/members.h"
#include "approval/votes.h"
#include "base/arena.h"
#include "base/buf.h"

#define STORED_BYTES_MAX ((size_t)BUF_CAP_RECORD)

/* ---- writing; members in the order of their bytes ---- */

static void
build_groups(const struct approval_vote *v, struct buf *b)
{
	member_add_json(b, "groups", SPAN_LIT("["));
	for (size_t i = 0; i < v->n_groups; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		json_quote(b, v->groups[i]);
	}
	buf_add_char(b, ']');
}

static void
build_vote(const struct approval_vote *v, struct buf *b)
{
	buf_add_char(b, '{');
	member_add_bool(b, "ack_redacted", v->ack_redacted);
	member_add_text(b, "approver", v->approver);
	member_add_text(b, "asserted_by", v->asserted_by);
	member_add_text(b, "channel", span_cstr(approval_channel_name(v->channel)));
	if (v->n_groups > 0)
		build_groups(v, b);
	member_add_bool(b, "is_approval", v->is_approval);
	member_add_text(b, "reason", v->reason);
	member_add_int(b, "time", v->wall_ns);
	buf_add_char(b, '}');
}

void
approval_build(const struct approval *a, struct buf *b)
{
	buf_add_char(b, '{');
	member_add_text(b, "action_id", a->action_id);
	member_add_text(b, "action_type", a->action_type);
	member_add_text(b, "agent", a->identity.agent);
	member_add_text(b, "approval_id", span_cstr(a->id));
	member_add_text(b, "binding_hash", span_cstr(a->binding_hash));
	member_add_int(b, "created", a->created_wall_ns);
	member_add_text(b, "environment", a->identity.environment);
	member_add_int(b, "epoch", a->epoch);
	member_add_int(b, "expires", a->expires_wall_ns);
	member_add_int(b, "expires_mono", a->expires_mono_ns);
	member_add_text(b, "fingerprint", span_cstr(a->fingerprint));
	member_add_bool(b, "has_hidden", a->has_hidden);
	member_add_bool(b, "is_class", a->is_class);
	member_add_int(b, "max_uses", a->max_uses);
	member_add_int(b, "needed", a->needed);
	member_add_json(b, "obligations", a->obligations);
	member_add_text(b, "params_hash", span_cstr(a->params_hash));
	member_add_text(b, "policy_hash", span_cstr(a->policy_hash));
	member_add_text(b, "principal", a->identity.principal);
	member_add_text(b, "resource", a->resource);
	member_add_json(b, "rule_ids", a->rule_ids);
	member_add_text(b, "status", span_cstr(approval_state_name(a->state)));
	member_add_text(b, "trace_id", a->trace_id);
	member_add_int(b, "uses", a->uses);
	member_add_json(b, "votes", SPAN_LIT("["));
	for (size_t i = 0; i < a->n_votes; i++) {
		if (i > 0)
			buf_add_char(b, ',');
		build_vote(&a->votes[i], b);
	}
	BUF_ADD_LIT(b, "]}");
}

/* ---- reading ---- */

/* The members of one object; a missing one, or one of another type, makes the whole false at the end. */
struct reader {
	const struct json *o;
	bool is_bad;
};

static const struct json *
take(struct reader *r, const char *name, enum json_type type)
{
	const struct json *v = json_find_cstr(r->o, name);

	if (v == NULL || v->type != type) {
		r->is_bad = true;
		return NULL;
	}
	return v;
}

static struct span
take_text(struct reader *r, const char *name)
{
	const struct json *v = take(r, name, JSON_STRING);

	return v != NULL ? v->text : SPAN_NONE;
}

static int64_t
take_int(struct reader *r, const char *name)
{
	int64_t v = 0;

	if (!json_get_int(take(r, name, JSON_NUMBER), INT64_MIN, INT64_MAX, &v))
		r->is_bad = true;
	return v;
}

static bool
take_bool(struct reader *r, const char *name)
{
	const struct json *v = take(r, name, JSON_BOOL);

	return v != NULL && v->boolean;
}

static void
take_hash(struct reader *r, const char *name, char out[SHA256_HEX + 1])
{
	struct span text = take_text(r, name);
	uint8_t bytes[SHA256_BYTES];

	if (!hash_unhex(text, bytes, sizeof(bytes)))
		r->is_bad = true;
	else
		hash_hex(bytes, sizeof(bytes), out);
}

/* The bytes of a member as they stand in the text. */
static struct span
take_source(struct reader *r, const char *name, enum json_type type)
{
	const struct json *v = take(r, name, type);

	return v != NULL ? v->source : SPAN_NONE;
}

static enum approval_state
take_state(struct reader *r)
{
	struct span text = take_text(r, "status");

	for (int s = 0; s < APPROVAL_STATE__MAX; s++)
		if (span_eq_cstr(text, approval_state_name((enum approval_state)s)))
			return (enum approval_state)s;
	r->is_bad = true;
	return APPROVAL_EXPIRED;
}

static enum approval_channel
take_channel(struct reader *r)
{
	struct span text = take_text(r, "channel");

	for (int c = 0; c < CHANNEL__MAX; c++)
		if (span_eq_cstr(text, approval_channel_name((enum approval_channel)c)))
			return (enum approval_channel)c;
	r->is_bad = true;
	return CHANNEL_API;
}

/* Most votes rest on none. */
static void
take_groups(struct reader *r, struct arena *arena, struct approval_vote *v)
{
	const struct json *list = json_find_cstr(r->o, "groups");
	struct span *groups;

	if (list == NULL)
		return;
	r->is_bad = r->is_bad || list->type != JSON_ARRAY || list->n == 0;
	groups = r->is_bad ? NULL : ARENA_ARRAY(arena, struct span, list->n);
	for (const struct json *g = list->first; groups != NULL && g != NULL; g = g->next) {
		r->is_bad = r->is_bad || g->type != JSON_STRING;
		groups[v->n_groups++] = g->text;
	}
	v->groups = groups;
}

static bool
read_vote(const struct json *o, struct arena *arena, struct approval_vote *out)
{
	struct reader r = {.o = o};

	*out = (struct approval_vote){
		.approver = take_text(&r, "approver"),
		.asserted_by = take_text(&r, "asserted_by"),
		.reason = take_text(&r, "reason"),
		.wall_ns = take_int(&r, "time"),
		.channel = take_channel(&r),
		.is_approval = take_bool(&r, "is_approval"),
		.ack_redacted = take_bool(&r, "ack_redacted"),
	};
	take_groups(&r, arena, out);
	return !r.is_bad && out->approver.n > 0;
}

static void
take_votes(struct reader *r, struct arena *arena, struct approval *a)
{
	const struct json *list = take(r, "votes", JSON_ARRAY);

	if (list == NULL || list->n == 0)
		return;
	if (list->n > APPROVAL_VOTES_MAX) {
		r->is_bad = true;
		return;
	}
	a->votes = ARENA_ARRAY(arena, struct approval_vote, list->n);
	for (const struct json *v = list->first; v != NULL && a->votes != NULL; v = v->next)
		if (!read_vote(v, arena, &a->votes[a->n_votes++]))
			r->is_bad = true;
}

static void
read_members(struct reader *r, struct arena *arena, struct approval *a)
{
	struct span id = take_text(r, "approval_id");

	if (!approval_id_is_valid(id))
		r->is_bad = true;
	else
		(void)snprintf(a->id, sizeof(a->id), "%.*s", SPAN_ARG(id));
	a->state = take_state(r);
	a->is_class = take_bool(r, "is_class");
	a->has_hidden = take_bool(r, "has_hidden");
	a->identity.principal = take_text(r, "principal");
	a->identity.agent = take_text(r, "agent");
	a->identity.environment = take_text(r, "environment");
	a->action_type = take_text(r, "action_type");
	a->resource = take_text(r, "resource");
	a->action_id = take_text(r, "action_id");
	a->trace_id = take_text(r, "trace_id");
	a->obligations = take_source(r, "obligations", JSON_OBJECT);
	a->approvers = json_find_cstr(json_find_cstr(r->o, "obligations"), "approvers");
	a->rule_ids = take_source(r, "rule_ids", JSON_ARRAY);
	take_hash(r, "fingerprint", a->fingerprint);
	take_hash(r, "binding_hash", a->binding_hash);
	take_hash(r, "params_hash", a->params_hash);
	take_hash(r, "policy_hash", a->policy_hash);
	a->needed = take_int(r, "needed");
	a->max_uses = take_int(r, "max_uses");
	a->uses = take_int(r, "uses");
	a->created_wall_ns = take_int(r, "created");
	a->expires_wall_ns = take_int(r, "expires");
	a->expires_mono_ns = take_int(r, "expires_mono");
	a->epoch = take_int(r, "epoch");
	take_votes(r, arena, a);
}

/* What no transition leads to. */
static bool
is_possible(const struct approval *a)
{
	if (a->needed < 1 || a->max_uses < 1 || a->uses < 0 || a->uses > a->max_uses)
		return false;
	if (a->state == APPROVAL_APPROVED || a->state == APPROVAL_CONSUMED)
		return approval_is_carried(a, NULL);
	return a->state != APPROVAL_PENDING || a->uses == 0;
}

static enum err
check_same(struct span text, const struct approval *a, struct arena *arena, struct errinfo *ei)
{
	struct buf b;

	buf_init_arena(&b, arena, STORED_BYTES_MAX);
	approval_build(a, &b);
	if (buf_failed(&b))
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	if (!span_eq(buf_span(&b), text))
		return ERR(ei, ERR_CORRUPT, "a stored approval is not in its own form");
	return OK;
}

enum err
approval_parse(struct span text, struct arena *arena, struct approval *out, struct errinfo *ei)
{
	struct reader r = {0};
	enum err rc;

	*out = (struct approval){0};
	rc = json_parse(text, arena, &r.o, NULL, ei);
	if (rc == ERR_TOO_LARGE)
		return ERR(ei, ERR_NOMEM, "out of memory for an approval");
	if (rc != OK || r.o->type != JSON_OBJECT)
		return ERR(ei, ERR_CORRUPT, "a stored approval cannot be read");
	read_members(&r, arena, out);
	if (arena_failed(arena))
		rc = ERR(ei, ERR_NOMEM, "out of memory for an approval");
	else if (r.is_bad || !is_possible(out))
		rc = ERR(ei, ERR_CORRUPT, "a stored approval cannot be read");
	else
		rc = check_same(text, out, arena, ei);
	if (rc != OK)
		*out = (struct approval){0};
	return rc;
}
