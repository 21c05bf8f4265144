/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The yardstick: the smallest evhttp program that reads the body of a POST and answers a fixed
 * JSON of 300 bytes, with as many workers as asked for, each on a SO_REUSEPORT socket of its own.
 * It checks nothing and must stay that way.
 *
 *     bare_evhttp PORT WORKERS
 */
#define _GNU_SOURCE /* SO_REUSEPORT */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#define REPLY_BYTES 300
#define BODY_BYTES_MAX 65536
#define WORKERS_MAX 64
#define BACKLOG 1024

static char reply[REPLY_BYTES];
static uint16_t port;

static void
on_request(struct evhttp_request *req, void *arg)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	struct evbuffer *out = evhttp_request_get_output_buffer(req);

	(void)arg;
	evbuffer_pullup(body, -1);
	evhttp_add_header(
		evhttp_request_get_output_headers(req), "Content-Type", "application/json");
	evbuffer_add_reference(out, reply, sizeof(reply), NULL, NULL);
	evhttp_send_reply(req, 200, "OK", NULL);
}

static int
open_socket(void)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0 ||
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(fd, BACKLOG) != 0) {
		perror("bare_evhttp");
		exit(1);
	}
	return fd;
}

static void *
run(void *arg)
{
	struct event_base *base = event_base_new();
	struct evhttp *http = base != NULL ? evhttp_new(base) : NULL;

	(void)arg;
	if (http == NULL || evhttp_accept_socket(http, open_socket()) != 0) {
		fprintf(stderr, "bare_evhttp: cannot start a worker\n");
		exit(1);
	}
	evhttp_set_max_body_size(http, BODY_BYTES_MAX);
	evhttp_set_gencb(http, on_request, NULL);
	event_base_dispatch(base);
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t threads[WORKERS_MAX];
	long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	long number = argc == 3 ? strtol(argv[1], NULL, 10) : 0;

	if (n < 1 || n > WORKERS_MAX || number < 1 || number > 65535) {
		fprintf(stderr, "usage: bare_evhttp PORT WORKERS\n");
		return 2;
	}
	port = (uint16_t)number;
	memset(reply, ' ', sizeof(reply));
	memcpy(reply, "{\"decision\":\"ALLOW\"", 19);
	reply[sizeof(reply) - 1] = '}';
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigaction(SIGPIPE, &ignore, NULL);
	for (long i = 0; i < n; i++) {
		if (pthread_create(&threads[i], NULL, run, NULL) != 0)
			return 1;
	}
	pthread_join(threads[0], NULL);
	return 0;
}
