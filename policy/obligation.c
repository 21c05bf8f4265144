/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of known obligations and the struct that executors read. Numbers and lists were checked
 * when the bundle was loaded, so reading cannot fail but for memory. Pure; any thread.
 */
#include "obligation.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/must.h"
#include "base/parse.h"
#include "obligation_value.h"

const struct obligation_row obligation_rows[OBLIGATION__MAX] = {
#define X(id, key, kind, min, max) [id] = {key, kind, min, max},
#include "obligation_tbl.h"
#undef X
};

static const char *const sandbox_names[] = {
	[SANDBOX_NONE] = "none", [SANDBOX_LOCAL] = "local", [SANDBOX_CONTAINER] = "container"};

enum obligation_id
obligation_find(struct span key)
{
	for (int i = 0; i < OBLIGATION__MAX; i++) {
		if (span_eq_cstr(key, obligation_rows[i].key))
			return (enum obligation_id)i;
	}
	return OBLIGATION__MAX;
}

#define FOLDED_MAX 64

/*
 * Letters and digits only, in lower case, so that netAllowList and net-allow-list are near to
 * net_allowlist.
 */
static struct span
fold(struct span s, char out[FOLDED_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < s.n && n < FOLDED_MAX; i++) {
		char c = s.p[i];
		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			out[n++] = c;
	}
	return span_of(out, n);
}

const char *
obligation_find_nearest(struct span key)
{
	char folded[FOLDED_MAX];
	char known[FOLDED_MAX];
	struct span k = fold(key, folded);
	const char *nearest = NULL;
	unsigned best = 3;

	if (key.n > FOLDED_MAX)
		return NULL;
	for (int i = 0; i < OBLIGATION__MAX; i++) {
		/*
		 * Carried keys are short words; nothing is lost when a neighbour of theirs is
		 * carried too.
		 */
		if (obligation_rows[i].kind == KIND_CARRIED)
			continue;
		struct span w = fold(span_cstr(obligation_rows[i].key), known);
		unsigned d = parse_edit_distance(k, w, 2);
		if (d < best) {
			best = d;
			nearest = obligation_rows[i].key;
		}
	}
	return nearest;
}

bool
obligation_parse_sandbox(struct span text, enum sandbox_mode *out)
{
	for (size_t i = 0; i < ARRAY_LEN(sandbox_names); i++) {
		if (span_eq_cstr(text, sandbox_names[i])) {
			*out = (enum sandbox_mode)i;
			return true;
		}
	}
	/* Names of the reference's profiles, which it treats as none. */
	*out = SANDBOX_LOCAL;
	return span_eq_cstr(text, "ci") || span_eq_cstr(text, "controlled");
}

const char *
obligation_sandbox_name(enum sandbox_mode mode)
{
	MUST((size_t)mode < ARRAY_LEN(sandbox_names));
	return sandbox_names[mode];
}

/* Unreachable texts count as the strongest mode. */
enum sandbox_mode
obligation_read_sandbox(const struct json *v)
{
	enum sandbox_mode mode = SANDBOX_NONE;
	enum sandbox_mode one;

	if (v->type == JSON_STRING)
		return obligation_parse_sandbox(v->text, &mode) ? mode : SANDBOX_CONTAINER;
	for (const struct json *e = v->first; e != NULL; e = e->next) {
		if (!obligation_parse_sandbox(e->text, &one))
			one = SANDBOX_CONTAINER;
		if (one > mode)
			mode = one;
	}
	return mode;
}

/*
 * A value that does not fit counts as the least one, which is the strictest for every integer here.
 */
static int64_t
read_int(const struct json *v, const struct obligation_row *row)
{
	int64_t n;

	return json_get_int(v, row->min, row->max, &n) ? n : row->min;
}

static void
read_member(enum obligation_id id, const struct json *v, struct obligations *out)
{
	const struct obligation_row *row = &obligation_rows[id];

	switch (id) {
	case OBLIGATION_APPROVAL_MAX_USES:
		out->approval_max_uses = read_int(v, row);
		break;
	case OBLIGATION_APPROVAL_SCOPE_CLASS:
		out->approval_scope_class = v->text;
		break;
	case OBLIGATION_APPROVAL_TTL_SECONDS:
		out->approval_ttl_seconds = read_int(v, row);
		break;
	case OBLIGATION_APPROVERS:
		out->approvers = v;
		break;
	case OBLIGATION_EXEC_ALLOWLIST:
		out->exec_allowlist = v;
		break;
	case OBLIGATION_EXEC_CONSTRAINTS:
		out->exec_constraints = v;
		break;
	case OBLIGATION_HTTP_REDIRECT_HOP_LIMIT:
		out->http_redirect_hop_limit = read_int(v, row);
		break;
	case OBLIGATION_HTTP_REDIRECTS:
		out->http_redirects = v->boolean;
		break;
	case OBLIGATION_NET_ALLOWLIST:
		out->net_allowlist = v;
		break;
	case OBLIGATION_OUTPUT_MAX_BYTES:
		out->has_output_max_bytes = true;
		out->output_max_bytes = read_int(v, row);
		break;
	case OBLIGATION_OUTPUT_MAX_LINES:
		out->has_output_max_lines = true;
		out->output_max_lines = read_int(v, row);
		break;
	case OBLIGATION_SANDBOX_MODE:
		out->sandbox_mode = obligation_read_sandbox(v);
		break;
	case OBLIGATION_BREAKGLASS:
	case OBLIGATION_CREDENTIAL_LEASE_IDS: /* obligation_read sorts it */
	case OBLIGATION_PUBLISH_CHANNEL:
	case OBLIGATION_REASON:
	case OBLIGATION__MAX:
		break;
	}
}

static struct json *
argv_of(const struct rule_list *tokens, struct arena *a)
{
	struct json *argv = json_new(a, JSON_ARRAY);

	for (uint32_t i = 0; i < tokens->n && argv != NULL; i++) {
		struct json *token = json_new_string(a, tokens->v[i]);
		if (token == NULL || !json_add_element(a, argv, token))
			return NULL;
	}
	return argv;
}

struct json *
obligation_derive(const struct rule *rule, struct arena *a)
{
	struct json *object = json_new(a, JSON_OBJECT);
	struct json *list = json_new(a, JSON_ARRAY);
	const struct json **argv = ARENA_ARRAY(a, const struct json *, rule->n_patterns + 1u);

	if (object == NULL || list == NULL || argv == NULL)
		return NULL;
	for (uint32_t i = 0; i < rule->n_patterns; i++) {
		argv[i] = argv_of(&rule->patterns[i].tokens, a);
		if (argv[i] == NULL)
			return NULL;
	}
	if (!value_add_argv_sorted(list, argv, rule->n_patterns, a) ||
		!json_add_member(a, object, SPAN_LIT("argv_patterns"), list))
		return NULL;
	return object;
}

bool
obligation_read(const struct json *map, struct arena *a, struct obligations *out)
{
	struct buf b;

	*out = (struct obligations){.canonical = SPAN_LIT("{}")};
	if (map == NULL || map->n == 0)
		return true;
	buf_init_arena(&b, a, BUF_CAP_REPLY);
	json_canonical(map, &b);
	if (buf_failed(&b))
		return false;
	out->canonical = buf_span(&b);
	for (const struct json *m = map->first; m != NULL; m = m->next) {
		enum obligation_id id = obligation_find(m->name);
		if (id != OBLIGATION__MAX)
			read_member(id, m, out);
		if (id == OBLIGATION_CREDENTIAL_LEASE_IDS)
			out->credential_lease_ids = value_intersect(&m, 1, a);
	}
	return !arena_failed(a);
}
