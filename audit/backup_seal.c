/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a ledger aside. The note for the next chain is written before anything moves and the head
 * file moves last, so that a start after a crash in between refuses rather than begins a chain that
 * hides this one. Blocking.
 */
#define _GNU_SOURCE /* renameat2 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "audit/backup.h"
#include "audit/source.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fdio.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "lock.h"

/* In the order in which they move. */
static const char *const moved[] = {"", "-wal", "-shm", "-journal", ".head"};

static bool
join(char out[BACKUP_NAME_MAX], const char *path, const char *suffix)
{
	int n = snprintf(out, BACKUP_NAME_MAX, "%s%s", path, suffix);

	return n > 0 && n < BACKUP_NAME_MAX;
}

static bool
is_there(const char *path, const char *suffix)
{
	char name[BACKUP_NAME_MAX];
	struct stat st;

	return join(name, path, suffix) && lstat(name, &st) == 0 && S_ISREG(st.st_mode);
}

static enum err
check_reason(const char *reason, struct errinfo *ei)
{
	struct span s = span_trim(span_cstr(reason));

	if (s.n == 0)
		return ERR(ei, ERR_INVALID, "a reason is needed: the next chain begins with it");
	if (span_cstr(reason).n > CHECKPOINT_REASON_MAX || !utf8_is_valid(s))
		return ERR(ei, ERR_INVALID, "the reason is at most %d bytes of UTF-8",
			CHECKPOINT_REASON_MAX);
	return OK;
}

/* A name typed wrong must not move a stranger's file. */
static enum err
check_ledger(const char *path, struct errinfo *ei)
{
	bool has_company =
		is_there(path, ".head") || is_there(path, ".key") || is_there(path, ".lock");

	if (strlen(path) > BACKUP_NAME_MAX - 64)
		return ERR(ei, ERR_INVALID, "the path is too long");
	if (!is_there(path, "") && !is_there(path, "-wal") && !is_there(path, ".head"))
		return ERR(
			ei, ERR_NOT_FOUND, "%s: there is neither a ledger nor a head file", path);
	if (!has_company)
		return ERR(ei, ERR_INVALID,
			"%s: no key, head or lock file lies beside it, so it is no ledger of a "
			"gateway",
			path);
	return OK;
}

static bool
keep_chain_id(const struct source_record *r, void *arg)
{
	struct checkpoint_seal *seal = arg;
	struct chain_fields f;
	uint8_t id[CHAIN_ID_HEX / 2];

	/* A damaged record may name anything; the note must stay one that the next start reads. */
	if (!r->is_malformed && chain_read_fields(r->body, &f) &&
		hash_unhex(f.chain_id, id, sizeof(id)))
		memcpy(seal->chain_id, f.chain_id.p, CHAIN_ID_HEX);
	return false;
}

/* The most that can be known: a damaged ledger may say nothing, an older copy less than the head
 * file. */
static void
find_end(const char *path, const char *head_path, struct checkpoint_seal *seal)
{
	struct source *s = NULL;
	struct checkpoint head;

	if (source_open(path, SOURCE_LOCKED, &s, NULL) == OK &&
		source_get_kind(s) == SOURCE_LEDGER && source_get_head(s).seq > 0) {
		seal->at = source_get_head(s);
		if (source_each(s, seal->at.seq - 1, keep_chain_id, seal, NULL) != OK ||
			seal->chain_id[0] == '\0')
			seal->at = (struct chain_head){0};
	}
	source_free(&s);
	if (checkpoint_read_head(head_path, &head, NULL) == OK && head.at.seq > seal->at.seq) {
		seal->at = head.at;
		memcpy(seal->chain_id, head.chain_id, sizeof(seal->chain_id));
	}
}

/* The public half goes with the sealed ledger as a copy, so that it verifies where it lies. */
static void
copy_public_key(const char *path, const char *to)
{
	char name[BACKUP_NAME_MAX];
	struct buf pem;

	buf_init(&pem, BUF_CAP_LOG_LINE);
	if (join(name, path, ".pub") && fdio_read_file(name, BUF_CAP_LOG_LINE, &pem, NULL) == OK &&
		join(name, to, ".pub") && fdio_write_file(name, buf_span(&pem), 0644, NULL) != OK)
		(void)unlink(name); /* without it verify asks for the key */
	buf_fini(&pem);
}

static enum err
move_all(const char *path, const char *to, struct errinfo *ei)
{
	char from_name[BACKUP_NAME_MAX];
	char to_name[BACKUP_NAME_MAX];

	for (size_t i = 0; i < ARRAY_LEN(moved); i++) {
		if (!join(from_name, path, moved[i]) || !join(to_name, to, moved[i]))
			return ERR(ei, ERR_INVALID, "the path is too long");
		if (!FAULT_BEFORE(SEAL_MOVE) &&
			(renameat2(AT_FDCWD, from_name, AT_FDCWD, to_name, RENAME_NOREPLACE) == 0 ||
				errno == ENOENT) &&
			!FAULT_AFTER(SEAL_MOVE))
			continue;
		return ERR_ERRNO(ei, errno == EEXIST ? ERR_CONFLICT : ERR_IO, errno, "%s", to_name);
	}
	return OK;
}

static enum err
name_sealed(const char *path, struct backup_sealed *out, struct errinfo *ei)
{
	char now[CLOCK_TEXT_MAX];
	char digits[CLOCK_TEXT_MAX];
	size_t n = 0;

	(void)clock_format(clock_wall_ns(), now);
	for (const char *p = now; *p != '\0' && *p != '.' && *p != 'Z'; p++) {
		if (*p != '-' && *p != ':')
			digits[n++] = *p;
	}
	digits[n] = '\0';
	snprintf(out->name, sizeof(out->name), "%s.sealed-%sZ", path, digits);
	for (size_t i = 0; i < ARRAY_LEN(moved); i++) {
		if (is_there(out->name, moved[i]))
			return ERR(ei, ERR_CONFLICT, "%s%s is there already", out->name, moved[i]);
	}
	return OK;
}

static enum err
seal_locked(const char *path, struct backup_sealed *out, struct errinfo *ei)
{
	char name[BACKUP_NAME_MAX];
	enum err rc = name_sealed(path, out, ei);

	if (rc != OK)
		return rc;
	if (!join(name, path, ".head"))
		return ERR(ei, ERR_INVALID, "the path is too long");
	find_end(path, name, &out->seal);
	if (!join(name, path, ".seal"))
		return ERR(ei, ERR_INVALID, "the path is too long");
	rc = checkpoint_write_seal(name, &out->seal, ei);
	if (rc == OK)
		rc = move_all(path, out->name, ei);
	/* Before anybody is told that it is sealed. */
	if (rc == OK)
		rc = FAULT_AROUND(SEAL_SYNC_FOLDER, ei, fdio_sync_folder(path, ei));
	if (rc == OK)
		copy_public_key(path, out->name);
	return rc;
}

enum err
backup_seal(const char *path, const char *reason, struct backup_sealed *out, struct errinfo *ei)
{
	char name[BACKUP_NAME_MAX];
	int lock = -1;
	int file_lock = -1;

	*out = (struct backup_sealed){.name = ""};
	enum err rc = check_reason(reason, ei);
	if (rc == OK)
		rc = check_ledger(path, ei);
	if (rc == OK && !join(name, path, ".lock"))
		rc = ERR(ei, ERR_INVALID, "the path is too long");
	if (rc == OK)
		rc = lock_take(name, &lock, ei);
	if (rc == OK && is_there(path, ""))
		rc = lock_hold(path, &file_lock, ei);
	snprintf(out->seal.reason, sizeof(out->seal.reason), "%s", reason);
	if (rc == OK)
		rc = seal_locked(path, out, ei);
	if (rc == OK)
		(void)lock_mark_log(lock, false); /* the log went with the ledger */
	lock_drop(&file_lock);
	lock_drop(&lock);
	return rc;
}
