/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. Of TCP: an address is a literal or "localhost" with a port; nothing here asks
 * the DNS. Several loops listen on the same address with a socket each (SO_REUSEPORT). Of unix: one socket, which
 * all loops share. Or one that a service manager has opened (net/inherited.h). At start-up, any thread.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

#define LISTENER_TEXT_MAX 128 /* "unix:/path" with its NUL */
#define LISTENER_PATH_MAX 108 /* as the kernel has it, with its NUL */

enum listener_kind { LISTENER_TCP = 0, LISTENER_UNIX, LISTENER_INHERITED };

/* An address to listen on: a plain value. */
struct listener_addr {
	enum listener_kind kind;
	uint8_t bytes[16]; /* network order; 4 in use when is_ipv4 */
	uint32_t scope_id; /* of a link-local IPv6 address, else 0 */
	uint16_t port;     /* host order; 0: any free one */
	bool is_ipv4;
	bool is_any;                  /* no host was given, or 0.0.0.0 or [::] */
	char path[LISTENER_PATH_MAX]; /* UNIX: absolute; INHERITED: the name, or "" */
};

/* "127.0.0.1:8080", ":8080" (all addresses, IPv6 with IPv4, IPv4 alone where there is no IPv6),
 * "[::1]:0", "localhost:80" (127.0.0.1), "unix:/run/nomos.sock", "systemd", "systemd:NAME". ERR_PARSE, naming the text. */
MUSTCHECK enum err listener_parse(struct span text, struct listener_addr *out, struct errinfo *ei);
/* "127.0.0.1:8080", "[::1]:8080" or "unix:/path" with a NUL. */
void listener_format(const struct listener_addr *a, char out[LISTENER_TEXT_MAX]);
/* Whether only this host can reach it; of an inherited one that is not known. */
bool listener_is_loopback(const struct listener_addr *a);

/*
 * Binds without SO_REUSEPORT and lets go again, so that a second gateway on the same address is
 * told instead of sharing it. Resolves port 0: a->port is the free port then. Of a unix socket: whether somebody
 * listens there, and whether what is there may be replaced; nothing is made or removed. ERR_BUSY (in use),
 * ERR_FORBIDDEN (permission), ERR_CONFLICT (no socket), ERR_IO.
 */
MUSTCHECK enum err listener_probe(struct listener_addr *a, struct errinfo *ei);
/* A listening socket on a, of TCP (after listener_probe): non-blocking, close-on-exec, SO_REUSEADDR,
 * SO_REUSEPORT, TCP_NODELAY (which accepted sockets inherit). Once for each loop. *out is the
 * caller's; -1 on failure. Errors as listener_probe. */
MUSTCHECK enum err listener_open(const struct listener_addr *a, int *out, struct errinfo *ei);

/* A blocking connection to who listens there, for this host's own look at it: connecting, reading and writing give up after
 * timeout_ms each. As listener_probe. */
MUSTCHECK enum err listener_connect(
	const struct listener_addr *a, unsigned timeout_ms, int *out, struct errinfo *ei);

/* The file of a unix socket as it was made: another one at its path is not ours. */
struct listener_file {
	dev_t device;
	ino_t inode;
	bool is_made;
};
/* Who may connect: exactly these bits, owner and group, before anybody can. */
#define LISTENER_ANY_USER ((uid_t)-1)
#define LISTENER_ANY_GROUP ((gid_t)-1)
struct listener_access {
	mode_t mode;
	uid_t owner; /* LISTENER_ANY_USER: ours */
	gid_t group; /* LISTENER_ANY_GROUP: as the kernel gives it */
};
/* The same for a unix socket: replaces one on which nobody listens, never anything else, and follows no symbolic link at
 * its path. Of several processes that come at once one gets it, the others ERR_BUSY: they take turns by a lock on the folder. Blocks for two
 * seconds at most while somebody else holds that, and goes on without it then. Errors as listener_probe. */
MUSTCHECK enum err listener_open_unix(const struct listener_addr *a,
	const struct listener_access *access, struct listener_file *file, int *out,
	struct errinfo *ei);
/* Removes the file, if it is still that one; before its socket is closed. */
void listener_remove_unix(const struct listener_addr *a, struct listener_file *file);

#endif
