/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP: a socket for each worker on one address (SO_REUSEPORT). A unix socket, and one that a service manager has opened, is one queue
 * that all workers take from, each by a duplicate of its descriptor; who is idle wins.
 */
#define _GNU_SOURCE /* getgrnam_r, getpwnam_r */

#include "listeners.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "net/inherited.h"
#include "runtime.h"

#define NAMES_BYTES_MAX 4096

static const char *
name_of(const struct runtime_listener *o)
{
	return o->name.n > 0 ? o->name.p : "gateway.listen";
}

/* A name or a number. */
static enum err
find_group(struct span text, gid_t *out, struct errinfo *ei)
{
	char bytes[NAMES_BYTES_MAX];
	struct group group;
	struct group *found = NULL;
	uint64_t number;

	*out = LISTENER_ANY_GROUP;
	if (text.n == 0)
		return OK;
	if (parse_uint(text, UINT32_MAX - 1, &number)) {
		*out = (gid_t)number;
		return OK;
	}
	if (getgrnam_r(text.p, &group, bytes, sizeof(bytes), &found) != 0 || found == NULL)
		return ERR(ei, ERR_NOT_FOUND, "there is no group %s", text.p);
	*out = found->gr_gid;
	return OK;
}

static enum err
find_user(struct span text, uid_t *out, struct errinfo *ei)
{
	char bytes[NAMES_BYTES_MAX];
	struct passwd user;
	struct passwd *found = NULL;
	uint64_t number;

	*out = LISTENER_ANY_USER;
	if (text.n == 0)
		return OK;
	if (parse_uint(text, UINT32_MAX - 1, &number)) {
		*out = (uid_t)number;
		return OK;
	}
	if (getpwnam_r(text.p, &user, bytes, sizeof(bytes), &found) != 0 || found == NULL)
		return ERR(ei, ERR_NOT_FOUND, "there is no user %s", text.p);
	*out = found->pw_uid;
	return OK;
}

static enum err
open_unix(const struct runtime_listener *o, struct listening *l, struct errinfo *ei)
{
	struct listener_access access = {.mode = o->mode};
	int fd = -1;
	enum err rc = find_user(o->owner, &access.owner, ei);

	if (rc == OK)
		rc = find_group(o->group, &access.group, ei);
	if (rc == OK)
		rc = listener_open_unix(&l->addr, &access, &l->file, &fd, ei);
	if (rc == OK)
		l->shared_fd = fd;
	return rc;
}

/* By the name that the address has, else by the listener's. */
static enum err
take_inherited(const struct runtime_listener *o, struct inherited_sockets *sockets,
	struct listening *l, struct errinfo *ei)
{
	const char *name = o->addr.path[0] != '\0' || o->name.n == 0 ? o->addr.path : o->name.p;
	int fd = -1;
	enum err rc = inherited_sockets_take(sockets, name, &l->addr, &fd, ei);

	if (rc == OK)
		l->shared_fd = fd;
	return rc;
}

static enum err
find_one(const struct runtime_listener *o, struct inherited_sockets *sockets, struct listening *l,
	struct errinfo *ei)
{
	enum err rc = OK;

	*l = (struct listening){.addr = o->addr};
	switch (o->addr.kind) {
	case LISTENER_TCP:
		rc = listener_probe(&l->addr, ei);
		break;
	case LISTENER_UNIX:
		rc = open_unix(o, l, ei);
		break;
	case LISTENER_INHERITED:
		rc = take_inherited(o, sockets, l, ei);
		break;
	}
	if (rc != OK)
		return ERR_WRAP(ei, rc, "%s", name_of(o));
	if (!o->tls && !listener_is_loopback(&l->addr))
		log_warn(NULL,
			"%s is open to other hosts without TLS: credentials cross the network in "
			"clear",
			name_of(o));
	return OK;
}

enum err
listeners_find(struct runtime *r, struct errinfo *ei)
{
	struct inherited_sockets sockets;
	enum err rc = inherited_sockets_read(&sockets, ei);

	for (size_t i = 0; i < r->options.listeners.n && rc == OK; i++) {
		rc = find_one(&r->options.listeners.v[i], &sockets,
			&r->listenings.v[r->listenings.n], ei);
		if (rc == OK)
			r->listenings.n++;
	}
	/* Clients would wait there for ever. */
	if (rc == OK && inherited_sockets_find_left(&sockets) != NULL)
		rc = ERR(ei, ERR_INVALID,
			"the service manager's socket \"%s\" is no listener's: a listener of that "
			"name needs listen: systemd",
			inherited_sockets_find_left(&sockets));
	return rc;
}

static enum err
attach_one(const struct runtime_listener *o, const struct listening *l, struct tls_keeper *tls,
	struct http_server *s, struct errinfo *ei)
{
	const struct http_listen_options options = {
		.roles = o->roles, .proxy_protocol = o->proxy_protocol, .tls = o->tls ? tls : NULL};
	int fd = -1;

	if (l->shared_fd > 0) {
		fd = fcntl(l->shared_fd, F_DUPFD_CLOEXEC, 0);
		if (fd < 0)
			return ERR(ei, ERR_IO, "%s: no descriptor is left", name_of(o));
	} else {
		enum err rc = listener_open(&l->addr, &fd, ei);
		if (rc != OK)
			return rc;
	}
	return http_server_listen(s, fd, &options, ei);
}

enum err
listeners_attach(const struct runtime *r, struct http_server *s, struct errinfo *ei)
{
	enum err rc = OK;

	for (size_t i = 0; i < r->listenings.n && rc == OK; i++)
		rc = attach_one(
			&r->options.listeners.v[i], &r->listenings.v[i], r->options.tls, s, ei);
	return rc;
}

void
listeners_let_go(struct runtime *r)
{
	for (size_t i = 0; i < r->listenings.n; i++) {
		if (r->listenings.v[i].shared_fd > 0)
			close(r->listenings.v[i].shared_fd);
		r->listenings.v[i].shared_fd = 0;
	}
}

void
listeners_remove(struct runtime *r)
{
	for (size_t i = 0; i < r->listenings.n; i++)
		listener_remove_unix(&r->listenings.v[i].addr, &r->listenings.v[i].file);
}
