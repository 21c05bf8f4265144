/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP server on loopback for the tests of what goes out: one thread that answers as it is told and remembers
 * what came. Test programs only.
 */
#ifndef TESTS_UNIT_OUTBOUND_RECEIVER_H
#define TESTS_UNIT_OUTBOUND_RECEIVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/must.h"
#include "base/parse.h"
#include "support/test.h"

#define SECRET "webhook-secret"
#define REQUESTS_MAX 8
#define REQUEST_BYTES 8192
#define SILENT 0 /* an answer that never comes */
#define HELD 1   /* 200, once go_pipe has a byte for it */

struct server {
	int listener;
	int stop_pipe[2];
	int got_pipe[2]; /* a byte per request that is whole */
	int go_pipe[2];
	pthread_t thread;
	unsigned port;
	unsigned status[REQUESTS_MAX]; /* of each answer in turn */
	char request[REQUESTS_MAX][REQUEST_BYTES];
	size_t n;
};

UNUSED static bool
wait_readable(struct server *s, int fd)
{
	struct pollfd fds[2] = {
		{.fd = fd, .events = POLLIN}, {.fd = s->stop_pipe[0], .events = POLLIN}};

	(void)poll(fds, 2, -1);
	return fds[1].revents == 0;
}

UNUSED static size_t
body_length(const char *request)
{
	const char *p = strstr(request, "Content-Length: ");
	uint64_t n = 0;

	if (p == NULL)
		return 0;
	p += strlen("Content-Length: ");
	return parse_uint(span_of(p, strcspn(p, "\r")), REQUEST_BYTES, &n) ? (size_t)n : 0;
}

/* True when a whole request is in out. */
UNUSED static bool
read_request(struct server *s, int fd, char *out)
{
	size_t n = 0;

	for (;;) {
		const char *end = strstr(out, "\r\n\r\n");
		if (end != NULL && n >= (size_t)(end + 4 - out) + body_length(out))
			return true;
		if (n + 1 >= REQUEST_BYTES || !wait_readable(s, fd))
			return false;
		ssize_t got = read(fd, out + n, REQUEST_BYTES - 1 - n);
		if (got <= 0)
			return false;
		n += (size_t)got;
	}
}

UNUSED static void
answer(struct server *s, int fd)
{
	char text[128];

	while (s->n < REQUESTS_MAX && read_request(s, fd, s->request[s->n])) {
		unsigned status = s->status[s->n++];
		MUST(write(s->got_pipe[1], "g", 1) == 1);
		if (status == SILENT) {
			(void)wait_readable(s, fd);
			return;
		}
		char go;
		if (status == HELD &&
			(!wait_readable(s, s->go_pipe[0]) || read(s->go_pipe[0], &go, 1) != 1))
			return;
		status = status == HELD ? 200 : status;
		int n = snprintf(
			text, sizeof(text), "HTTP/1.1 %u x\r\nContent-Length: 0\r\n\r\n", status);
		if (write(fd, text, (size_t)n) != n)
			return;
	}
}

UNUSED static void *
serve(void *arg)
{
	struct server *s = arg;

	while (wait_readable(s, s->listener)) {
		int fd = accept(s->listener, NULL, NULL);
		if (fd >= 0) {
			answer(s, fd);
			close(fd);
		}
	}
	return NULL;
}

UNUSED static void
server_start(struct server *s)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(addr);

	s->listener = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(s->listener, (struct sockaddr *)&addr, n) == 0 && listen(s->listener, 8) == 0);
	CHECK(getsockname(s->listener, (struct sockaddr *)&addr, &n) == 0);
	s->port = ntohs(addr.sin_port);
	CHECK(pipe(s->stop_pipe) == 0 && pipe(s->got_pipe) == 0 && pipe(s->go_pipe) == 0);
	CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

UNUSED static void
server_stop(struct server *s)
{
	CHECK_INT(write(s->stop_pipe[1], "s", 1), 1);
	CHECK(pthread_join(s->thread, NULL) == 0);
	close(s->listener);
	close(s->stop_pipe[0]);
	close(s->stop_pipe[1]);
	close(s->got_pipe[0]);
	close(s->got_pipe[1]);
	close(s->go_pipe[0]);
	close(s->go_pipe[1]);
}

/* The value of a header, or the empty span. */
UNUSED static struct span
header(const char *request, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(request, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			struct span rest = span_cstr(p + n + 1);
			return span_trim(span_of(rest.p, span_find(rest, '\r')));
		}
	}
	return SPAN_NONE;
}

UNUSED static const char *
body_of(const char *request)
{
	const char *p = strstr(request, "\r\n\r\n");

	return p != NULL ? p + 4 : "";
}

/* As a receiver does it: HMAC over "t.body" with the secret. */
UNUSED static bool
is_signed(const char *request)
{
	struct span value = header(request, "X-Nomos-Signature");
	size_t comma = span_find(value, ',');
	struct span time = span_of(value.p, comma);
	struct buf text;
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX + 1];
	uint64_t seconds = 0;

	if (comma == value.n || !span_starts(time, SPAN_LIT("t=")) ||
		!parse_uint(span_from(time, 2), UINT32_MAX, &seconds))
		return false;
	buf_init(&text, BUF_CAP_RECORD);
	buf_add_span(&text, span_from(time, 2));
	buf_add_char(&text, '.');
	buf_add_cstr(&text, body_of(request));
	hash_hmac_sha256(SPAN_LIT(SECRET), buf_span(&text), mac);
	hash_hex(mac, sizeof(mac), hex);
	buf_fini(&text);
	int64_t age = clock_wall_ns() / NS_PER_SEC - (int64_t)seconds;
	return age >= 0 && age < 3600 && span_starts(span_from(value, comma), SPAN_LIT(",v1=")) &&
	       span_eq_cstr(span_from(value, comma + 4), hex);
}

#endif
