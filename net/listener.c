/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: parsing of literal addresses, the probe, the sockets themselves. Must never
 * ask a resolver, nor share a port with a socket that the probe would have met. At start-up, any
 * thread.
 */
#define _GNU_SOURCE /* SOCK_NONBLOCK, SOCK_CLOEXEC, SO_REUSEPORT */

#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "base/parse.h"
#include "listener_unix.h"

#define HOST_MAX 64

union any_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
	struct sockaddr_storage storage;
};

/* Whether this host can make IPv6 sockets at all. */
static bool
has_ipv6(void)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool
is_zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

/* "fe80::1%eth0" without the brackets. */
static bool
parse_ipv6(const char *host, struct listener_addr *a)
{
	char text[HOST_MAX];
	const char *zone = strchr(host, '%');
	size_t n = zone != NULL ? (size_t)(zone - host) : strlen(host);

	memcpy(text, host, n);
	text[n] = '\0';
	if (inet_pton(AF_INET6, text, a->bytes) != 1)
		return false;
	if (zone == NULL)
		return true;
	a->scope_id = if_nametoindex(zone + 1);
	return a->scope_id != 0;
}

static bool
parse_host(struct span host, bool is_bracketed, struct listener_addr *a)
{
	char text[HOST_MAX];

	if (host.n == 0 && !is_bracketed) {
		a->is_ipv4 = !has_ipv6();
		a->is_any = true;
		return true;
	}
	if (span_eq_nocase(host, SPAN_LIT("localhost")) && !is_bracketed)
		host = SPAN_LIT("127.0.0.1");
	if (host.n == 0 || host.n >= sizeof(text) || memchr(host.p, '\0', host.n) != NULL)
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	a->is_ipv4 = !is_bracketed;
	if (a->is_ipv4 ? inet_pton(AF_INET, text, a->bytes) != 1 : !parse_ipv6(text, a))
		return false;
	a->is_any = is_zero(a->bytes, a->is_ipv4 ? 4 : 16);
	return true;
}

#define UNIX_PREFIX "unix:"
#define INHERITED_WORD "systemd"

/* "unix:/path", "systemd", "systemd:NAME"; false when it is of neither kind. */
static bool
parse_named(struct span text, struct listener_addr *a)
{
	struct span name = SPAN_NONE;

	if (span_starts(text, SPAN_LIT(UNIX_PREFIX "/"))) {
		a->kind = LISTENER_UNIX;
		name = span_from(text, sizeof(UNIX_PREFIX) - 1);
	} else if (span_starts(text, SPAN_LIT(INHERITED_WORD ":"))) {
		a->kind = LISTENER_INHERITED;
		name = span_from(text, sizeof(INHERITED_WORD));
	} else if (span_eq(text, SPAN_LIT(INHERITED_WORD))) {
		a->kind = LISTENER_INHERITED;
		return true;
	}
	/* The root itself is no file to listen on. */
	if (name.n < (a->kind == LISTENER_UNIX ? 2 : 1) || name.n >= sizeof(a->path) ||
		memchr(name.p, '\0', name.n) != NULL)
		return false;
	memcpy(a->path, name.p, name.n);
	return true;
}

enum err
listener_parse(struct span text, struct listener_addr *out, struct errinfo *ei)
{
	struct span host = SPAN_NONE;
	struct span port = SPAN_NONE;
	uint64_t number = 0;
	bool is_bracketed = text.n > 0 && text.p[0] == '[';

	*out = (struct listener_addr){0};
	size_t host_n = span_find(text, is_bracketed ? ']' : ':');
	if (is_bracketed && host_n + 1 < text.n && text.p[host_n + 1] == ':') {
		host = span_of(text.p + 1, host_n - 1);
		port = span_from(text, host_n + 2);
	} else if (!is_bracketed && host_n < text.n) {
		host = span_of(text.p, host_n);
		port = span_from(text, host_n + 1);
	}
	struct listener_addr a = {0};
	if (parse_named(text, out))
		return OK;
	*out = (struct listener_addr){0};
	if (!parse_uint(port, 65535, &number) || !parse_host(host, is_bracketed, &a))
		return ERR(ei, ERR_PARSE,
			"\"%.*s\" is not an address to listen on: use HOST:PORT, :PORT or "
			"[IPV6]:PORT, with a literal address or localhost, unix:/PATH (of at most "
			"%d bytes), systemd or systemd:NAME",
			SPAN_ARG(text), LISTENER_PATH_MAX - 1);
	a.port = (uint16_t)number;
	*out = a;
	return OK;
}

void
listener_format(const struct listener_addr *a, char out[LISTENER_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN];

	if (a->kind == LISTENER_UNIX) {
		snprintf(out, LISTENER_TEXT_MAX, UNIX_PREFIX "%s", a->path);
		return;
	}
	if (a->kind == LISTENER_INHERITED) {
		snprintf(out, LISTENER_TEXT_MAX, INHERITED_WORD "%s%s",
			a->path[0] != '\0' ? ":" : "", a->path);
		return;
	}
	MUST(inet_ntop(a->is_ipv4 ? AF_INET : AF_INET6, a->bytes, host, sizeof(host)) != NULL);
	snprintf(out, LISTENER_TEXT_MAX, a->is_ipv4 ? "%s:%u" : "[%s]:%u", host, (unsigned)a->port);
}

bool
listener_is_loopback(const struct listener_addr *a)
{
	static const uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};

	if (a->kind != LISTENER_TCP)
		return a->kind == LISTENER_UNIX;
	return a->is_ipv4 ? a->bytes[0] == 127 : memcmp(a->bytes, one, sizeof(one)) == 0;
}

static socklen_t
fill_sockaddr(const struct listener_addr *a, union any_sockaddr *sa)
{
	memset(sa, 0, sizeof(*sa));
	if (a->is_ipv4) {
		sa->in.sin_family = AF_INET;
		sa->in.sin_port = htons(a->port);
		memcpy(&sa->in.sin_addr, a->bytes, 4);
		return sizeof(sa->in);
	}
	sa->in6.sin6_family = AF_INET6;
	sa->in6.sin6_port = htons(a->port);
	sa->in6.sin6_scope_id = a->scope_id;
	memcpy(&sa->in6.sin6_addr, a->bytes, 16);
	return sizeof(sa->in6);
}

enum err
listener_error(const struct listener_addr *a, int error, struct errinfo *ei)
{
	char text[LISTENER_TEXT_MAX];

	listener_format(a, text);
	if (error == EADDRINUSE)
		return ERR(ei, ERR_BUSY, "%s is in use by another process", text);
	if (error == EACCES || error == EPERM)
		return ERR(ei, ERR_FORBIDDEN, "no permission to listen on %s", text);
	if (error == EADDRNOTAVAIL)
		return ERR(ei, ERR_IO, "%s is no address of this host", text);
	return ERR_ERRNO(ei, ERR_IO, error, "listening on %s", text);
}

static bool
set_on(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) == 0;
}

/* A bound socket; -1 with errno set. */
static int
bind_socket(const struct listener_addr *a, bool is_shared)
{
	union any_sockaddr sa;
	socklen_t n = fill_sockaddr(a, &sa);
	int fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* All addresses means those of IPv4 too, whatever the host's default is. */
	bool is_ready = set_on(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
			(!is_shared || set_on(fd, SOL_SOCKET, SO_REUSEPORT, 1)) &&
			(a->is_ipv4 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->is_any ? 0 : 1)) &&
			bind(fd, &sa.sa, n) == 0;
	if (!is_ready) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

enum err
listener_probe(struct listener_addr *a, struct errinfo *ei)
{
	union any_sockaddr sa = {0};
	socklen_t n = sizeof(sa);

	if (a->kind == LISTENER_UNIX)
		return listener_probe_unix(a, ei);
	if (a->kind == LISTENER_INHERITED)
		return OK;
	int fd = bind_socket(a, false);
	/* With SO_REUSEADDR two sockets may be bound; only one of them may listen. */
	if (fd < 0 || listen(fd, 1) != 0 || getsockname(fd, &sa.sa, &n) != 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return listener_error(a, error, ei);
	}
	a->port = ntohs(a->is_ipv4 ? sa.in.sin_port : sa.in6.sin6_port);
	close(fd);
	return OK;
}

enum err
listener_open(const struct listener_addr *a, int *out, struct errinfo *ei)
{
	*out = -1;
	MUST(a->kind == LISTENER_TCP && a->port != 0);
	int fd = bind_socket(a, true);
	if (fd < 0 || !set_on(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
		listen(fd, LISTENER_BACKLOG) != 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return listener_error(a, error, ei);
	}
	*out = fd;
	return OK;
}

static socklen_t
fill_any_sockaddr(const struct listener_addr *a, union any_sockaddr *sa)
{
	if (a->kind != LISTENER_UNIX)
		return fill_sockaddr(a, sa);
	memset(sa, 0, sizeof(*sa));
	sa->un.sun_family = AF_UNIX;
	memcpy(sa->un.sun_path, a->path, sizeof(a->path));
	return sizeof(sa->un);
}

enum err
listener_connect(const struct listener_addr *a, unsigned timeout_ms, int *out, struct errinfo *ei)
{
	const struct timeval limit = {
		.tv_sec = timeout_ms / 1000, .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
	union any_sockaddr sa;

	MUST(a->kind != LISTENER_INHERITED);
	/* All addresses, as one to connect to, are this host. */
	socklen_t n = fill_any_sockaddr(a, &sa);
	int fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*out = -1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) != 0 ||
		connect(fd, &sa.sa, n) != 0) {
		int error = errno;
		if (fd >= 0)
			close(fd);
		return listener_error(a, error, ei);
	}
	*out = fd;
	return OK;
}
