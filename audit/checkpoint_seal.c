/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The note that a sealed ledger leaves for its successor. It must never be taken for evidence: it
 * is unsigned and only says what the operator knew. Blocking; at start-up and on the command
 * line.
 */
#include <string.h>

#include "audit/checkpoint.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "checkpoint_file.h"

#define SEAL_FILE_MAX 8192

static bool
copy_text(const struct json *o, const char *name, char *out, size_t size)
{
	const struct json *v = json_find_cstr(o, name);

	if (v == NULL || v->type != JSON_STRING || v->text.n >= size)
		return false;
	memcpy(out, v->text.p, v->text.n);
	out[v->text.n] = '\0';
	return true;
}

/* Empty, or n hex digits: it is put into a record as it is. */
static bool
is_hex_or_empty(const char *s, size_t n)
{
	return s[0] == '\0' || (strlen(s) == n && strspn(s, "0123456789abcdef") == n);
}

static enum err
parse_seal(struct span text, void *arg, struct errinfo *ei)
{
	struct checkpoint_seal *out = arg;
	const struct json *o = NULL;
	int64_t seq = 0;

	struct arena *a = arena_new(64 * 1024);
	if (a == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	enum err rc = json_parse(text, a, &o, NULL, ei);
	if (rc == OK && (!copy_text(o, "chain_id", out->chain_id, sizeof(out->chain_id)) ||
				!copy_text(o, "hash", out->at.hash, sizeof(out->at.hash)) ||
				!copy_text(o, "reason", out->reason, sizeof(out->reason)) ||
				!is_hex_or_empty(out->chain_id, CHAIN_ID_HEX) ||
				!is_hex_or_empty(out->at.hash, SHA256_HEX) ||
				!json_get_int(json_find_cstr(o, "seq"), 0, INT64_MAX, &seq)))
		rc = ERR(ei, ERR_PARSE, "not a seal");
	out->at.seq = (uint64_t)seq;
	arena_free(&a);
	return rc;
}

enum err
checkpoint_read_seal(const char *path, struct checkpoint_seal *out, struct errinfo *ei)
{
	*out = (struct checkpoint_seal){0};
	enum err rc = checkpoint_read_file(path, SEAL_FILE_MAX, parse_seal, out, ei);
	if (rc != OK)
		*out = (struct checkpoint_seal){0};
	return rc;
}

enum err
checkpoint_write_seal(const char *path, const struct checkpoint_seal *seal, struct errinfo *ei)
{
	struct buf text;

	buf_init(&text, SEAL_FILE_MAX);
	buf_printf(&text, "{\"chain_id\":\"%s\",\"hash\":\"%s\",\"reason\":", seal->chain_id,
		seal->at.hash);
	json_quote(&text, span_cstr(seal->reason));
	BUF_ADD_LIT(&text, ",\"seq\":");
	buf_add_uint(&text, seal->at.seq);
	BUF_ADD_LIT(&text, "}\n");
	enum err rc = checkpoint_write_file(path, &text, ei);
	buf_fini(&text);
	return rc;
}
