/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets that a service manager has opened and this process began with (sd_listen_fds(3)): descriptors from 3 on, as
 * LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES say. At start-up, one thread, once.
 */
#ifndef NET_INHERITED_H
#define NET_INHERITED_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "net/listener.h"

#define INHERITED_MAX 16

struct inherited_socket {
	char name[LISTENER_PATH_MAX];
	int fd; /* -1: taken */
};

struct inherited_sockets {
	struct inherited_socket v[INHERITED_MAX];
	size_t n;
};

/* None when the environment has none for this process. Each is close-on-exec from then on. ERR_INVALID, ERR_TOO_LARGE. */
MUSTCHECK enum err inherited_sockets_read(struct inherited_sockets *out, struct errinfo *ei);
/* The one of this name; "": the only one. *out is the caller's, *a the address that it listens on. ERR_NOT_FOUND; ERR_INVALID
 * when it is no listening stream socket. */
MUSTCHECK enum err inherited_sockets_take(struct inherited_sockets *s, const char *name,
	struct listener_addr *a, int *out, struct errinfo *ei);
/* One that is not taken, or NULL: nobody would ever answer there. */
const char *inherited_sockets_find_left(const struct inherited_sockets *s);

#endif
