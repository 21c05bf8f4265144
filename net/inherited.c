/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Sockets that were opened by somebody else are believed in nothing: each is asked what it is. */
#include "net/inherited.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/must.h"
#include "base/parse.h"

#define FIRST_FD 3

union any_sockaddr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static bool
read_number(const char *name, uint64_t max, uint64_t *out)
{
	const char *text = getenv(name);

	return text != NULL && parse_uint(span_cstr(text), max, out);
}

static bool
set_flags(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

enum err
inherited_sockets_read(struct inherited_sockets *out, struct errinfo *ei)
{
	const char *text = getenv("LISTEN_FDNAMES");
	struct span names = text != NULL ? span_cstr(text) : SPAN_NONE;
	uint64_t pid;
	uint64_t n;

	*out = (struct inherited_sockets){.n = 0};
	if (!read_number("LISTEN_PID", INT32_MAX, &pid) || pid != (uint64_t)getpid() ||
		!read_number("LISTEN_FDS", INT32_MAX, &n))
		return OK;
	if (n > INHERITED_MAX)
		return ERR(ei, ERR_TOO_LARGE, "more than %d sockets from the service manager",
			INHERITED_MAX);
	for (int i = 0; i < (int)n; i++) {
		size_t name_n = span_find(names, ':');
		if (name_n >= sizeof(out->v[0].name) || !set_flags(FIRST_FD + i))
			return ERR(ei, ERR_INVALID,
				"LISTEN_FDS says %d sockets, and number %d is none", (int)n, i + 1);
		if (name_n > 0)
			memcpy(out->v[i].name, names.p, name_n);
		names = span_from(names, name_n < names.n ? name_n + 1 : name_n);
		out->v[i].fd = FIRST_FD + i;
		out->n++;
	}
	return OK;
}

static bool
fill_address(const union any_sockaddr *sa, struct listener_addr *a)
{
	static const uint8_t zero[16];

	*a = (struct listener_addr){.kind = LISTENER_TCP};
	if (sa->sa.sa_family == AF_INET) {
		a->is_ipv4 = true;
		memcpy(a->bytes, &sa->in.sin_addr, 4);
		a->port = ntohs(sa->in.sin_port);
	} else if (sa->sa.sa_family == AF_INET6) {
		memcpy(a->bytes, &sa->in6.sin6_addr, 16);
		a->port = ntohs(sa->in6.sin6_port);
		a->scope_id = sa->in6.sin6_scope_id;
	} else if (sa->sa.sa_family == AF_UNIX) {
		a->kind = LISTENER_UNIX;
		memcpy(a->path, sa->un.sun_path, sizeof(a->path) - 1);
	} else {
		return false;
	}
	a->is_any = a->kind == LISTENER_TCP && memcmp(a->bytes, zero, a->is_ipv4 ? 4 : 16) == 0;
	return true;
}

static bool
has_option(int fd, int option, int want)
{
	int got = 0;
	socklen_t n = sizeof(got);

	return getsockopt(fd, SOL_SOCKET, option, &got, &n) == 0 && got == want;
}

/* What listener_open sets on those of our own. */
static void
set_no_delay(int fd, const struct listener_addr *a)
{
	int on = 1;

	if (a->kind == LISTENER_TCP)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static struct inherited_socket *
find(struct inherited_sockets *s, const char *name)
{
	if (name[0] == '\0')
		return s->n == 1 && s->v[0].fd >= 0 ? &s->v[0] : NULL;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].fd >= 0 && strcmp(s->v[i].name, name) == 0)
			return &s->v[i];
	}
	return NULL;
}

enum err
inherited_sockets_take(struct inherited_sockets *s, const char *name, struct listener_addr *a,
	int *out, struct errinfo *ei)
{
	union any_sockaddr sa;
	socklen_t n = sizeof(sa);
	struct inherited_socket *found = find(s, name);

	*out = -1;
	*a = (struct listener_addr){.kind = LISTENER_INHERITED};
	if (found == NULL)
		return ERR(ei, ERR_NOT_FOUND,
			"the service manager has given %zu sockets, and none of them is %s%s", s->n,
			name[0] != '\0' ? "named " : "the only one", name);
	memset(&sa, 0, sizeof(sa));
	if (!has_option(found->fd, SO_TYPE, SOCK_STREAM) ||
		!has_option(found->fd, SO_ACCEPTCONN, 1) ||
		getsockname(found->fd, &sa.sa, &n) != 0 || !fill_address(&sa, a))
		return ERR(ei, ERR_INVALID,
			"the service manager's socket \"%s\" is not a listening stream socket",
			found->name);
	set_no_delay(found->fd, a);
	*out = found->fd;
	found->fd = -1;
	return OK;
}

const char *
inherited_sockets_find_left(const struct inherited_sockets *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].fd >= 0)
			return s->v[i].name;
	}
	return NULL;
}
