/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The key that signs checkpoints, as PEM files. It must never use a private key that others on
 * the machine can read, and never overwrite one. Blocking; at start-up and on the command line.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "audit/checkpoint.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/mem.h"

#define KEY_FILE_MAX 4096

static enum err
check_rights(const char *path, struct errinfo *ei)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return errno == ENOENT ? ERR(ei, ERR_NOT_FOUND, "%s does not exist", path)
				       : ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	if ((st.st_mode & 077) != 0)
		return ERR(ei, ERR_FORBIDDEN, "%s can be used by others (mode %04o); chmod 600 it",
			path, (unsigned)(st.st_mode & 07777));
	if (st.st_uid != geteuid())
		return ERR(ei, ERR_FORBIDDEN, "%s belongs to another user", path);
	return OK;
}

static enum err
make_key(const char *key_path, const char *pub_path, struct sign_key **out, struct errinfo *ei)
{
	struct buf private_pem;
	struct buf public_pem;
	struct sign_key *key = NULL;

	buf_init(&private_pem, KEY_FILE_MAX);
	buf_init(&public_pem, KEY_FILE_MAX);
	/* A key's text always fits: what fails below with this memory in hand is not the size. */
	bool has_room = buf_reserve(&private_pem, KEY_FILE_MAX / 2) != NULL &&
			buf_reserve(&public_pem, KEY_FILE_MAX / 2) != NULL;
	enum err rc = has_room ? sign_key_new(&key, ei) : ERR(ei, ERR_NOMEM, "out of memory");
	if (rc == OK)
		rc = sign_key_build_private(key, &private_pem, ei);
	if (rc == OK)
		rc = sign_key_build_public(key, &public_pem, ei);
	/* The public half first: a private key without it would never be looked at again. */
	if (rc == OK)
		rc = fdio_write_file(pub_path, buf_span(&public_pem), 0644, ei);
	/* Whole or not at all: a start that was killed must not leave half a key behind, and two that
	 * begin at once never overwrite each other's. */
	if (rc == OK)
		rc = fdio_write_new_file(key_path, buf_span(&private_pem), 0600, ei);
	if (private_pem.p != NULL)
		mem_wipe(private_pem.p, private_pem.size);
	buf_fini(&private_pem);
	buf_fini(&public_pem);
	if (rc != OK)
		sign_key_free(&key);
	*out = key;
	return rc;
}

enum err
checkpoint_load_key(const char *key_path, const char *pub_path, bool create, struct sign_key **out,
	struct errinfo *ei)
{
	struct buf pem;

	*out = NULL;
	enum err rc = check_rights(key_path, ei);
	if (rc == ERR_NOT_FOUND && create)
		return make_key(key_path, pub_path, out, ei);
	if (rc != OK)
		return rc;
	buf_init(&pem, KEY_FILE_MAX);
	rc = fdio_read_file(key_path, KEY_FILE_MAX, &pem, ei);
	if (rc == OK) {
		rc = sign_key_parse_private(buf_span(&pem), out, ei);
		if (rc != OK)
			rc = ERR_WRAP(ei, rc, "%s", key_path);
	}
	if (pem.p != NULL)
		mem_wipe(pem.p, pem.size);
	buf_fini(&pem);
	return rc;
}

enum err
checkpoint_load_public_key(const char *path, struct sign_key **out, struct errinfo *ei)
{
	struct buf pem;

	*out = NULL;
	buf_init(&pem, KEY_FILE_MAX);
	enum err rc = fdio_read_file(path, KEY_FILE_MAX, &pem, ei);
	if (rc == OK) {
		rc = sign_key_parse_public(buf_span(&pem), out, ei);
		if (rc != OK)
			rc = ERR_WRAP(ei, rc, "%s", path);
	}
	buf_fini(&pem);
	return rc;
}
