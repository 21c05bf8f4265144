/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a service manager is told while the gateway runs (sd_notify(3)), and the watchdog it may ask for. Without one
 * (NOTIFY_SOCKET is not set) all of this does nothing. Main thread.
 */
#ifndef RUNTIME_SERVICE_H
#define RUNTIME_SERVICE_H

#include <sys/socket.h>
#include <sys/un.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/loop.h"

struct runtime;

struct service {
	int fd; /* 0: nobody is told */
	struct sockaddr_un to;
	socklen_t to_n;
	int64_t watchdog_ns; /* 0: nobody waits for a sign of life */
	struct loop_timer *watchdog_timer;
	size_t n_awaited; /* workers that have not answered since the last sign of life */
};

/* Reads the environment. ERR_NOMEM. */
MUSTCHECK enum err service_init(struct runtime *r, struct errinfo *ei);
void service_fini(struct runtime *r);
/* Serving; also after a reload, whatever came of it. Nothing of this is said once the end has begun. */
void service_say_ready(struct runtime *r, const char *status);
void service_say_reloading(struct runtime *r);
void service_say_stopping(struct runtime *r);
/* A worker has answered. */
void service_worker_lives(struct runtime *r);

#endif
