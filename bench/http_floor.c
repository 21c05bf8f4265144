/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What our HTTP layer costs by itself: net/http_server answering the fixed JSON of the yardstick
 * (bare_evhttp.c), with as many workers as asked for. Loaded by scripts/bench side by side with
 * it.
 *
 *     http_floor PORT WORKERS
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "net/http_server.h"
#include "net/listener.h"

#define REPLY_BYTES 300
#define WORKERS_MAX 64

static char reply[REPLY_BYTES];
static struct listener_addr address;

static void
on_request(struct http_request *req, void *arg)
{
	(void)arg;
	http_request_reply(req, 200, NULL, 0, span_of(reply, sizeof(reply)));
}

static enum err
start(struct loop **loop, struct errinfo *ei)
{
	struct http_server_options options;
	struct http_server *server = NULL;
	int fd = -1;

	http_server_options_init(&options);
	enum err rc = loop_new(loop, ei);
	if (rc == OK)
		rc = http_server_new(*loop, &options, on_request, NULL, &server, ei);
	if (rc == OK)
		rc = listener_open(&address, &fd, ei);
	if (rc == OK)
		rc = http_server_listen(server, fd, NULL, ei);
	return rc;
}

static void *
run(void *arg)
{
	struct loop *loop = NULL;
	struct errinfo ei;

	(void)arg;
	if (start(&loop, &ei) != OK) {
		fprintf(stderr, "http_floor: %s\n", ei.msg);
		exit(1);
	}
	loop_run(loop);
	return NULL;
}

int
main(int argc, char **argv)
{
	pthread_t threads[WORKERS_MAX];
	char text[LISTENER_TEXT_MAX];
	struct errinfo ei;
	long n = argc == 3 ? strtol(argv[2], NULL, 10) : 0;

	if (n < 1 || n > WORKERS_MAX || strlen(argv[1]) > 5) {
		fprintf(stderr, "usage: http_floor PORT WORKERS\n");
		return 2;
	}
	snprintf(text, sizeof(text), "127.0.0.1:%s", argv[1]);
	if (listener_parse(span_cstr(text), &address, &ei) != OK ||
		listener_probe(&address, &ei) != OK) {
		fprintf(stderr, "http_floor: %s\n", ei.msg);
		return 1;
	}
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
