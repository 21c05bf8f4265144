/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Arbitrary bytes as a request body. Whatever is accepted has ids of the agreed form, a clean resource, and the same hashes
 * when its canonical parameters and its ids are sent again; unusable parameters leave nothing behind.
 */
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/id.h"
#include "base/must.h"
#include "policy/action.h"
#include "support/normal_form.h"

#define ARENA_BYTES (8 * 1024 * 1024)

static const struct identity ID = {{"p", 1}, {"g", 1}, {"dev", 3}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_params(const struct action *act)
{
	const struct action_params *p = &act->params;

	if (act->params_err != OK) {
		MUST(act->params_err == ERR_INVALID && act->params_problem.n > 0);
		MUST(p->argv == NULL && p->headers == NULL && p->path.n == 0);
		MUST(p->content.n == 0 && p->secret_id.n == 0 && p->method.n == 0);
		return;
	}
	MUST((act->kind == ACTION_PROCESS_EXEC) == (p->n_argv > 0));
	MUST((act->kind == ACTION_NET_HTTP_REQUEST) == (p->method.n > 0));
	MUST((act->kind == ACTION_REPO_APPLY_PATCH) == (p->path.n > 0));
	MUST((act->kind == ACTION_SECRETS_CHECKOUT) == (p->secret_id.n > 0));
	for (size_t i = 0; i < p->n_argv; i++)
		MUST(span_find(p->argv[i], '\0') == p->argv[i].n);
	MUST(!normal_form_has_control(p->path) && !normal_form_has_control(p->cwd));
}

static void
check_action(const struct action *act)
{
	MUST(span_eq_cstr(act->schema_version, "v1"));
	MUST(id_is_valid(act->action_id) && id_is_valid(act->trace_id));
	MUST(id_is_action_type(act->action_type));
	MUST(normal_form_judge(&act->resource) == NULL);
	MUST(strlen(act->fingerprint) == SHA256_HEX && strlen(act->binding_hash) == SHA256_HEX);
	check_params(act);
}

/* A body of our own with the same meaning. */
static struct span
write_again(const struct action *act, struct arena *a)
{
	struct buf b;

	buf_init_arena(&b, a, ARENA_BYTES);
	BUF_ADD_LIT(&b, "{\"context\":{},\"params\":");
	json_canonical_typed(act->params_json, &b);
	BUF_ADD_LIT(&b, ",\"resource\":");
	json_quote(&b, act->resource_raw);
	BUF_ADD_LIT(&b, ",\"action_type\":");
	json_quote(&b, act->action_type);
	BUF_ADD_LIT(&b, ",\"trace_id\":\"t\",\"action_id\":\"a\",\"schema_version\":\"v1\"}");
	return buf_failed(&b) ? SPAN_NONE : buf_span(&b);
}

static void
check_again(const struct action *act, struct arena *a)
{
	struct action *again;
	struct errinfo ei = {.code = OK};
	struct span body = write_again(act, a);

	/* The canonical form of escapes can be longer than what was sent. */
	if (body.n == 0 || body.n > ACTION_PARAMS_BYTES_MAX)
		return;
	enum err rc = action_parse(body, a, &again, &ei);
	if (rc == OK)
		rc = action_normalize(again, &ID, a, &ei);
	if (rc == ERR_TOO_LARGE)
		return;
	MUST(rc == OK);
	MUST(span_eq(again->resource.text, act->resource.text));
	MUST(memcmp(again->params_hash, act->params_hash, SHA256_HEX) == 0);
	MUST(memcmp(again->fingerprint, act->fingerprint, SHA256_HEX) == 0);
	MUST(memcmp(again->binding_hash, act->binding_hash, SHA256_HEX) == 0);
	MUST(again->params_err == act->params_err && again->risk == act->risk);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(ARENA_BYTES);
	struct action *act;
	struct identity from_file;
	struct errinfo ei = {.code = OK};
	struct span body = span_of((const char *)data, size);

	MUST(a != NULL);
	enum err rc = action_parse(body, a, &act, &ei);
	MUST((rc == OK) == (act != NULL));
	MUST(rc == OK || ei.msg[0] != '\0');
	if (rc == OK && action_normalize(act, &ID, a, &ei) == OK) {
		check_action(act);
		check_again(act, a);
	}
	arena_reset(a);
	rc = action_parse_file(body, a, &act, &from_file, &ei);
	MUST((rc == OK) == (from_file.principal.n > 0));
	arena_free(&a);
	return 0;
}
