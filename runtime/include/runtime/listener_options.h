/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the gateway listens and what it answers there: gateway.listeners, or gateway.listen as the only one, with all roles. A plain
 * value; strings are borrowed from the options.
 */
#ifndef RUNTIME_LISTENER_OPTIONS_H
#define RUNTIME_LISTENER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/peer.h"

struct config_scope;
struct gateway_section;

struct runtime_listener {
	struct span name; /* empty: gateway.listen */
	struct listener_addr addr;
	unsigned roles; /* of enum listener_role; 0: all */
	bool proxy_protocol;
	bool tls;
	mode_t mode;       /* of a unix socket */
	struct span owner; /* of a unix socket; empty: ours; NUL-terminated */
	struct span group; /* of a unix socket; empty: as the system has it; NUL-terminated */
};

struct runtime_listeners {
	struct runtime_listener v[HTTP_SERVER_LISTENERS_MAX];
	size_t n;
};

/* ERR_PARSE, ERR_INVALID, ERR_CONFLICT: each names the key. */
MUSTCHECK enum err runtime_listeners_build(
	const struct gateway_section *gateway, struct runtime_listeners *out, struct errinfo *ei);
/* "api,health", "all" with a NUL. */
#define LISTENER_ROLES_TEXT_MAX 40
void listener_roles_format(unsigned roles, char out[LISTENER_ROLES_TEXT_MAX]);
/* The one that a client on this host asks for what has the role: of TCP, without a PROXY header before it. NULL: there is none. */
const struct runtime_listener *runtime_listeners_find(
	const struct runtime_listeners *l, enum listener_role role);

#endif
