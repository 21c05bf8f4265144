/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The key that signs checkpoints, as PEM files. It must never use a private key that others on
 * the machine can read, and never overwrite one. Blocking; at start-up and on the command line.
 */
#define _GNU_SOURCE /* O_NOFOLLOW, O_CLOEXEC, O_DIRECTORY under strict C11 */

#include <errno.h>
#include <fcntl.h>
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

/* The chain that names the key is durable at once; a power cut must not leave it without. */
static enum err
sync_folder(const char *path, struct errinfo *ei)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash == NULL ? 0 : (size_t)(slash - path);
	char *folder =
		slash == NULL ? mem_dup_cstr(".") : mem_dup_span(span_of(path, n > 0 ? n : 1));

	if (folder == NULL)
		return ERR(ei, ERR_NOMEM, "out of memory");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum err rc = fd >= 0 && fsync(fd) == 0
			      ? OK
			      : ERR(ei, ERR_IO, "%s: its folder: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	mem_free(folder);
	return rc;
}

/* O_EXCL: two processes that start at once never share half a key, and nothing is overwritten. */
static enum err
write_new_file(const char *path, struct span data, struct errinfo *ei)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	enum err rc = fdio_write_all(fd, data, ei);
	if (rc == OK && fsync(fd) != 0)
		rc = ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	if (close(fd) != 0 && rc == OK)
		rc = ERR(ei, ERR_IO, "%s: %s", path, strerror(errno));
	if (rc == OK)
		rc = sync_folder(path, ei);
	if (rc != OK)
		(void)unlink(path); /* half a key is worse than none */
	return rc;
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
	if (rc == OK)
		rc = write_new_file(key_path, buf_span(&private_pem), ei);
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
