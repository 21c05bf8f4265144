/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The listening sockets of the process: those that each worker opens for itself, and those that all share. Main thread. */
#ifndef RUNTIME_LISTENERS_H
#define RUNTIME_LISTENERS_H

#include "base/attr.h"
#include "base/err.h"
#include "net/listener.h"
#include "runtime/listener_options.h"

struct http_server;
struct runtime;

struct listening {
	struct listener_addr
		addr;  /* as it is: with its port, or that of the service manager's socket */
	int shared_fd; /* unix, inherited: workers have duplicates; 0: none */
	struct listener_file file; /* unix, made by us */
};

struct listenings {
	struct listening v[HTTP_SERVER_LISTENERS_MAX];
	size_t n;
};

/* Probes, opens or takes each of r->options.listeners. Errors name the listener. */
MUSTCHECK enum err listeners_find(struct runtime *r, struct errinfo *ei);
/* The sockets of one worker. */
MUSTCHECK enum err listeners_attach(
	const struct runtime *r, struct http_server *s, struct errinfo *ei);
/* Every worker has its own now. */
void listeners_let_go(struct runtime *r);
/* Takes away the files of our unix sockets; what has connected is served. */
void listeners_remove(struct runtime *r);

#endif
