/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos audit verify --received: what a receiver kept, judged without a ledger. Exit 0: each chain is whole, 1: one is
 * not, 2: it cannot be said. One thread. */
#include <inttypes.h>
#include <stdio.h>

#include "audit/witness.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"
#include "cmd_audit.h"
#include "witness_text.h"

#define OUT_BYTES_MAX ((size_t)1024 * 1024)

static void
add_json(const struct witness_chain *c, const struct witness_verdict *v, struct buf *out)
{
	buf_printf(out,
		"{\"bad_seq\":%" PRIu64 ",\"chain_id\":\"%s\",\"checkpoint\":%" PRIu64
		",\"checkpoints\":%" PRIu64 ",\"good\":%s,\"reason\":",
		v->bad_seq, c->id, v->last_checkpoint, v->n_checkpoints,
		v->is_good ? "true" : "false");
	json_quote(out, span_cstr(v->reason));
	BUF_ADD_LIT(out, ",\"witness\":");
	witness_text_add_json(v, out);
	buf_add_char(out, '}');
}

static void
add_text(const struct witness_chain *c, const struct witness_verdict *v, struct buf *out)
{
	buf_printf(out, "chain %s: ", c->id);
	if (!v->is_good) {
		BUF_ADD_LIT(out, "not whole: ");
		if (v->bad_seq > 0)
			buf_printf(out, "record %" PRIu64 ": ", v->bad_seq);
		buf_printf(out, "%s\n", v->reason);
		return;
	}
	buf_printf(out,
		"whole from record %" PRIu64 " to checkpoint %" PRIu64 ", %" PRIu64
		" unsigned records behind it",
		v->first, v->last_checkpoint,
		v->last - (v->last_checkpoint > 0 ? v->last_checkpoint : v->first - 1));
	if (v->n_dead > 0)
		buf_printf(out, ", %" PRIu64 " dead letters", v->n_dead);
	buf_add_char(out, '\n');
	witness_text_add_dead(v, out);
}

static enum err
judge_all(struct witness *w, const struct sign_key *key, bool is_json, bool *is_bad,
	struct buf *out, struct errinfo *ei)
{
	const struct witness_chain *chains = NULL;
	size_t n = witness_get_chains(w, &chains);
	struct witness_verdict v;
	enum err rc = OK;

	if (is_json)
		BUF_ADD_LIT(out, "{\"chains\":[");
	for (size_t i = 0; rc == OK && i < n; i++) {
		rc = witness_judge(w, &chains[i], key, &v, ei);
		if (rc != OK)
			break;
		*is_bad = *is_bad || !v.is_good;
		if (is_json && i > 0)
			buf_add_char(out, ',');
		if (is_json)
			add_json(&chains[i], &v, out);
		else
			add_text(&chains[i], &v, out);
		witness_text_warn_lineage(&v);
		if (v.is_cut && i + 1 == n)
			log_warn(NULL, "it ends inside a record, which does not count");
	}
	if (is_json)
		buf_printf(out, "],\"good\":%s}\n", *is_bad ? "false" : "true");
	return rc == OK && buf_failed(out) ? ERR(ei, ERR_NOMEM, "out of memory") : rc;
}

int
audit_verify_received(const struct command *self, const char *arg, const char *path,
	const char *key_path, const char *format)
{
	struct witness *w = NULL;
	struct sign_key *key = NULL;
	struct errinfo ei;
	struct buf out;
	bool is_json = false;
	bool is_bad = false;
	enum err rc = OK;

	if (arg != NULL) {
		log_error(NULL, "--received needs no FILE: %s", self->usage);
		return EXIT_USAGE;
	}
	if (!audit_parse_format(format, &is_json))
		return EXIT_USAGE;
	buf_init(&out, OUT_BYTES_MAX);
	if (key_path != NULL)
		rc = audit_load_public_key(path, key_path, &key, &ei);
	if (rc == OK)
		rc = witness_open(path, &w, &ei);
	if (rc == OK)
		rc = judge_all(w, key, is_json, &is_bad, &out, &ei);
	if (rc == OK) {
		(void)fwrite(out.p, 1, out.n, stdout);
		if (key == NULL)
			log_warn(NULL,
				"no public key: signatures were not checked (--checkpoint-key)");
	} else {
		log_error(NULL, "%s", ei.msg);
	}
	buf_fini(&out);
	witness_free(&w);
	sign_key_free(&key);
	if (rc != OK || audit_finish_stdout() != EXIT_DONE)
		return EXIT_USAGE;
	return is_bad ? EXIT_FAILED : EXIT_DONE;
}
