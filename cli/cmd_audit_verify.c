/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* nomos audit verify. It changes nothing. Exit 0: whole, 1: not, 2: it cannot be said. One thread. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "audit/archive.h"
#include "audit/checkpoint.h"
#include "audit/store.h"
#include "audit/verify.h"
#include "audit/witness.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/parse.h"
#include "cmd_audit.h"
#include "verdict_text.h"

#define TRIES_MAX 5

struct verify_flags {
	struct audit_file file;
	const char *key;
	const char *expect;
	const char *witness;
	const char *accepted; /* of --accept-chain */
	const char *received;
	const char *archive;
	const char *format;
	bool is_json;
};

struct verify_run {
	struct verify_options options;
	struct sign_key *key;
	struct chain_head expected;
	struct witness *witness;        /* of --witness */
	struct witness_verdict against; /* of it */
	bool is_whole_by_itself;        /* whatever the witness says */
	struct checkpoint head_file;
	enum err head_rc; /* ERR_NOT_FOUND: there is no head file */
	struct errinfo head_ei;
	struct source *source;
	struct archive_list archives; /* of --archive */
	struct audit_progress progress;
	struct verify_result result;
};

/* "SEQ:HASH" */
static bool
parse_expected(const char *text, struct chain_head *out)
{
	struct span s = span_cstr(text);
	size_t colon = span_find(s, ':');
	uint8_t raw[SHA256_BYTES];

	if (colon == s.n || !parse_uint(span_of(s.p, colon), INT64_MAX, &out->seq) ||
		out->seq == 0 || !hash_unhex(span_from(s, colon + 1), raw, sizeof(raw)))
		return false;
	hash_hex(raw, sizeof(raw), out->hash);
	return true;
}

/* "ID[,ID...]" */
static bool
is_chain_list(const char *text)
{
	uint8_t id[CHAIN_ID_HEX / 2];
	struct span rest = span_cstr(text);
	size_t comma = 0;

	do {
		comma = span_find(rest, ',');
		if (!hash_unhex(span_of(rest.p, comma), id, sizeof(id)))
			return false;
		rest = span_from(rest, comma < rest.n ? comma + 1 : comma);
	} while (rest.n > 0);
	return true;
}

/* The gateway writes a record before the head file that names it, so the head file is read first.
 */
static enum err
read_head_file(struct verify_run *v, const char *path, struct errinfo *ei)
{
	char name[AUDIT_PATH_MAX];
	int n = snprintf(name, sizeof(name), "%s.head", path);

	if (n < 0 || (size_t)n >= sizeof(name))
		return ERR(ei, ERR_INVALID, "the path is too long");
	v->head_rc = checkpoint_read_head(name, &v->head_file, &v->head_ei);
	return OK;
}

static enum err
prepare(struct verify_run *v, const struct verify_flags *f, struct errinfo *ei)
{
	enum err rc = audit_load_public_key(f->file.path, f->key, &v->key, ei);

	v->options.key = v->key;
	if (rc == OK && f->expect != NULL) {
		if (!parse_expected(f->expect, &v->expected))
			return ERR(ei, ERR_INVALID,
				"--expect is SEQ:HASH, a number and 64 hex digits");
		v->options.expected = &v->expected;
	}
	if (rc == OK && f->accepted != NULL && (f->witness == NULL || !is_chain_list(f->accepted)))
		return ERR(ei, ERR_INVALID,
			"--accept-chain goes with --witness and is ID[,ID...], 32 hex digits each");
	if (rc == OK && f->witness != NULL) {
		/* A witness that says nothing is no verdict about the ledger. */
		rc = witness_open(f->witness, &v->witness, ei);
		if (rc != OK)
			rc = ERR_WRAP(ei, ERR_INVALID, "witness");
	}
	return rc;
}

/* A folder may hold the archives of sealed ledgers too. */
static enum err
list_archives(struct verify_run *v, const char *folder, struct errinfo *ei)
{
	struct buf id;
	enum err rc = OK;

	buf_init(&id, CHAIN_ID_HEX + 1);
	if (source_get_kind(v->source) == SOURCE_LEDGER)
		rc = store_reader_meta(source_get_reader(v->source), "chain_id", &id, ei);
	buf_add_char(&id, '\0');
	if (rc == OK && buf_failed(&id))
		rc = ERR(ei, ERR_CORRUPT, "the chain id is damaged");
	if (rc == OK)
		rc = archive_list_read(folder, id.p, &v->archives, ei);
	buf_fini(&id);
	if (rc == OK && v->archives.n == 0)
		rc = ERR(ei, ERR_NOT_FOUND, "%s holds no archive of this chain", folder);
	v->options.archives = v->archives.paths;
	v->options.n_archives = v->archives.n;
	return rc;
}

static enum err
verify_once(struct verify_run *v, const char *path, const char *archive, struct errinfo *ei)
{
	enum err rc = read_head_file(v, path, ei);

	if (rc == OK)
		rc = source_open(path, SOURCE_SHARED, &v->source, ei);
	if (rc == OK && archive != NULL)
		rc = list_archives(v, archive, ei);
	if (rc != OK)
		return rc;
	if (source_get_kind(v->source) == SOURCE_LEDGER && v->head_rc != ERR_NOT_FOUND) {
		if (v->head_rc != OK && v->head_rc != ERR_PARSE && v->head_rc != ERR_TOO_LARGE)
			return ERR(ei, v->head_rc, "%s", v->head_ei.msg);
		if (v->head_rc != OK)
			return ERR(ei, ERR_CORRUPT, "the head file is damaged: %s", v->head_ei.msg);
		v->options.head_file = &v->head_file;
	}
	v->progress = (struct audit_progress){
		.what = "verified", .total = source_get_head(v->source).seq};
	v->options.progress = audit_progress_show;
	v->options.progress_arg = &v->progress;
	rc = verify_source(v->source, &v->options, &v->result, ei);
	audit_progress_end(&v->progress);
	return rc;
}

/* Retention of a running gateway may take away what is about to be read; the next segment has to fill first. */
static enum err
verify(struct verify_run *v, const char *path, const char *archive, struct errinfo *ei)
{
	enum err rc = verify_once(v, path, archive, ei);

	for (int i = 1; rc == ERR_BUSY && i < TRIES_MAX; i++) {
		source_free(&v->source);
		archive_list_fini(&v->archives);
		v->options.head_file = NULL;
		rc = verify_once(v, path, archive, ei);
	}
	return rc;
}

/* With archives, the chain is to be there from its first record on: whoever takes the oldest away is found out as well. */
static void
require_beginning(struct verify_run *v)
{
	struct verify_result *r = &v->result;

	if (v->archives.n == 0 || !r->is_good || r->anchor.seq == 0)
		return;
	r->is_good = false;
	snprintf(r->reason, sizeof(r->reason),
		"missing: records 1 to %" PRIu64 " are in none of the archives given",
		r->anchor.seq);
}

/* The ledger was opened behind the witness: what is in the witness must be here. */
static enum err
ask_witness(struct verify_run *v, const char *accepted, struct errinfo *ei)
{
	const struct witness_compared o = {.chain_id = v->result.chain_id,
		.source = v->source,
		.archives = v->archives.paths,
		.n_archives = v->archives.n,
		.head = v->result.head,
		.anchor = v->result.anchor,
		.accepted = accepted};

	v->is_whole_by_itself = v->result.is_good;
	if (v->witness == NULL || !v->result.is_good)
		return OK;
	enum err rc = witness_compare(v->witness, &o, &v->against, ei);
	v->result.is_good = rc == OK && v->against.is_good;
	v->result.bad_seq = v->against.bad_seq;
	memcpy(v->result.reason, v->against.reason, sizeof(v->result.reason));
	return rc;
}

static int
report(struct verify_run *v, const struct verify_flags *f, enum err rc, const struct errinfo *ei)
{
	bool is_verdict = rc == OK || rc == ERR_CORRUPT || rc == ERR_TOO_LARGE;
	const struct verdict_text verdict = {
		.result = &v->result,
		.archives = v->archives.paths,
		.key_id = v->key != NULL ? sign_key_id(v->key) : NULL,
		.against = v->witness != NULL && v->is_whole_by_itself ? &v->against : NULL,
		.is_export = v->source != NULL && source_get_kind(v->source) == SOURCE_EXPORT,
	};

	if (!is_verdict) {
		log_error(NULL, "%s", ei->msg);
		return EXIT_USAGE;
	}
	if (rc != OK) {
		v->result.is_good = false;
		snprintf(v->result.reason, sizeof(v->result.reason), "damaged: %.200s", ei->msg);
	}
	bool is_printed = verdict_text_print(&verdict, f->is_json);
	verdict_text_warn(&verdict);
	if (!is_printed || audit_finish_stdout() != EXIT_DONE)
		return EXIT_USAGE; /* whoever asked did not get the answer */
	return v->result.is_good ? EXIT_DONE : EXIT_FAILED;
}

int
audit_run_verify(const struct command *self, int argc, char **argv)
{
	struct verify_flags f = {.key = NULL};
	const struct flag flags[] = {
		{"checkpoint-key", NULL, FLAG_TEXT, &f.key, "KEY", NULL,
			"public key, PEM; FILE.pub when it exists"},
		{"expect", NULL, FLAG_TEXT, &f.expect, "SEQ:HASH", NULL,
			"this record must be in the chain"},
		{"witness", NULL, FLAG_TEXT, &f.witness, "FILE", NULL,
			"what a receiver kept: lines or bodies, a file or a folder, plain or gzip"},
		{"accept-chain", NULL, FLAG_TEXT, &f.accepted, "ID[,ID...]", NULL,
			"chains of the witness that are known not to belong to this ledger"},
		{"received", NULL, FLAG_TEXT, &f.received, "FILE", NULL,
			"judge what a receiver kept by itself, without a ledger"},
		{"archive", NULL, FLAG_TEXT, &f.archive, "FOLDER", NULL,
			"archives of the records that retention took out"},
		{"format", NULL, FLAG_TEXT, &f.format, "FORMAT", NULL, "text or json"},
		AUDIT_CONFIG_FLAG(&f.file),
	};
	struct verify_run v = {.head_rc = ERR_NOT_FOUND};
	const char *arg = NULL;
	struct errinfo ei;
	int status = EXIT_USAGE;

	if (!audit_parse(self, flags, ARRAY_LEN(flags), argc, argv, &arg, 1, &status))
		return status;
	status = EXIT_USAGE;
	if (f.received != NULL)
		return audit_verify_received(self, arg, f.received, f.key, f.format);
	if (audit_parse_format(f.format, &f.is_json) &&
		audit_file_find(&f.file, self, arg, &status)) {
		enum err rc = prepare(&v, &f, &ei);
		if (rc != OK) {
			log_error(NULL, "%s", ei.msg);
			status = EXIT_USAGE;
		} else {
			rc = verify(&v, f.file.path, f.archive, &ei);
			if (rc == OK) {
				rc = ask_witness(&v, f.accepted, &ei);
				require_beginning(&v);
			}
			status = report(&v, &f, rc, &ei);
		}
	}
	source_free(&v.source);
	archive_list_fini(&v.archives);
	witness_free(&v.witness);
	sign_key_free(&v.key);
	audit_file_fini(&f.file);
	return status;
}
