/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages to the service manager are datagrams to the socket it names; one that it does not take is lost, never waited for. A sign
 * of life goes out only after every worker's loop has answered since the last one, so a loop that is stuck ends the process.
 */
#define _GNU_SOURCE /* SOCK_CLOEXEC */

#include "runtime.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/must.h"
#include "base/parse.h"

#define MESSAGE_MAX 256
/* A sign of life so often within the time that is given for it. */
#define SIGNS 3
#define NS_PER_US INT64_C(1000)

static void
tell(const struct service *s, const char *message)
{
	if (s->fd > 0)
		(void)sendto(s->fd, message, strlen(message), MSG_NOSIGNAL | MSG_DONTWAIT,
			(const struct sockaddr *)&s->to, s->to_n);
}

/* An absolute path, or "@name" of an abstract socket. */
static bool
read_address(struct service *s, const char *text)
{
	size_t n = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || n < 2 || n >= sizeof(s->to.sun_path))
		return false;
	s->to = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(s->to.sun_path, text, n);
	s->to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (text[0] == '/'));
	if (text[0] == '@')
		s->to.sun_path[0] = '\0';
	return true;
}

/* A number of the environment; 0: there is none. */
static uint64_t
read_number(const char *name)
{
	const char *text = getenv(name);
	uint64_t n = 0;

	return text != NULL && parse_uint(span_cstr(text), INT64_MAX / NS_PER_US, &n) ? n : 0;
}

static void
read_watchdog(struct service *s)
{
	uint64_t pid = read_number("WATCHDOG_PID");

	if (pid == 0 || pid == (uint64_t)getpid())
		s->watchdog_ns = (int64_t)read_number("WATCHDOG_USEC") * NS_PER_US;
}

static void
ask_workers(struct runtime *r)
{
	r->service.n_awaited = r->n_workers;
	for (size_t i = 0; i < r->n_workers; i++)
		worker_ask_alive(&r->workers[i]);
}

static void
on_watchdog(void *arg)
{
	struct runtime *r;

	OBJ_CAST(r, arg, RUNTIME_MAGIC);
	if (r->service.n_awaited == 0) {
		tell(&r->service, "WATCHDOG=1");
		ask_workers(r);
	}
	loop_timer_arm(r->service.watchdog_timer, r->service.watchdog_ns / SIGNS);
}

void
service_worker_lives(struct runtime *r)
{
	r->service.n_awaited--;
}

enum err
service_init(struct runtime *r, struct errinfo *ei)
{
	struct service *s = &r->service;
	const char *text = getenv("NOTIFY_SOCKET");

	if (text == NULL)
		return OK;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || !read_address(s, text)) {
		log_warn(NULL, "the service manager is not told anything: NOTIFY_SOCKET is no "
			       "address of a unix socket");
		if (fd >= 0)
			close(fd);
		return OK;
	}
	s->fd = fd;
	read_watchdog(s);
	if (s->watchdog_ns == 0)
		return OK;
	s->watchdog_timer = loop_timer_new(r->loop, on_watchdog, r);
	return s->watchdog_timer != NULL ? OK : ERR(ei, ERR_NOMEM, "out of memory");
}

void
service_fini(struct runtime *r)
{
	loop_timer_free(&r->service.watchdog_timer);
	if (r->service.fd > 0)
		close(r->service.fd);
	r->service.fd = 0;
}

void
service_say_ready(struct runtime *r, const char *status)
{
	char message[MESSAGE_MAX];

	if (atomic_load(&r->stage) != DRAIN_NONE)
		return;
	snprintf(message, sizeof(message), "READY=1\nSTATUS=%s", status);
	tell(&r->service, message);
	if (r->service.watchdog_timer != NULL)
		loop_timer_arm(r->service.watchdog_timer, 0);
}

void
service_say_reloading(struct runtime *r)
{
	char message[MESSAGE_MAX];

	if (atomic_load(&r->stage) != DRAIN_NONE)
		return;
	snprintf(message, sizeof(message),
		"RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reading the configuration anew",
		(long long)(clock_mono_ns() / NS_PER_US));
	tell(&r->service, message);
}

void
service_say_stopping(struct runtime *r)
{
	tell(&r->service, "STOPPING=1\nSTATUS=finishing what was accepted");
}
