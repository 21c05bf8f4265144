/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * An open loop: requests come at a fixed rate whether or not the ones before are answered, over many keep-alive
 * connections; one without a free connection is given up by its client and counted. A client that is turned away tries again
 * when Retry-After says so, or at once. Rate 0: a closed loop, each connection asks again as soon as it is answered.
 *
 *     bench_open_load PORT REQUEST CONNECTIONS RATE MILLISECONDS heed|ignore ANSWERED [PROBE...]
 *
 * REQUEST is a file with the bytes of one request, PROBE one and the milliseconds between two of it, FILE:PAUSE. Probes are
 * asked all the while, each on a connection of its own. ANSWERED gets the X-Request-Id of every answer 200. The first third is a warm-up: answers in it
 * are written to ANSWERED and not measured.
 */
#define _GNU_SOURCE /* MSG_NOSIGNAL, strcasestr */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/must.h"
#include "bench.h"

#define CONNECTIONS_MAX 65536
#define RATE_MAX 10000000
#define PROBES_MAX 4
#define REPLY_BYTES 2048
#define EVENTS 512
/* When who was turned away comes again: some seconds ahead. */
#define SLOTS 1024
#define SLOT_NS (10 * NS_PER_MS)
#define RETRY_MAX 5
/* Latencies up to 16 s in steps of 2 %. */
#define STEPS 1024

struct latencies {
	uint64_t n[STEPS];
	uint64_t n_all;
};

struct connection {
	int fd;
	bool is_busy;
	bool is_measured; /* sent after the warm-up */
	int64_t sent_ns;
	struct connection *next; /* in its slot of waiting */
	size_t n;
	char reply[REPLY_BYTES];
};

struct probe {
	struct span request;
	int64_t pause_ns;
	struct latencies latencies;
	uint64_t n_failed;
	pthread_t thread;
};

struct figures {
	uint64_t n_due;
	uint64_t n_unsent;
	uint64_t n_answered;
	uint64_t n_shed;
	uint64_t n_other;
	uint64_t n_broken; /* connections that were closed */
	struct latencies answered;
	struct latencies shed;
};

static uint16_t port;
static struct span request;
static bool heeds;
static bool is_closed_loop;
static int64_t begin_ns;
static int64_t measure_ns;
static int64_t end_ns;
static FILE *answered;
static int epoll_fd;
static struct connection *connections;
static size_t n_connections;
static struct connection **idle; /* a ring: the one that waits for the longest is next */
static size_t idle_first;
static size_t idle_n;
static struct connection *waiting[SLOTS];
static int64_t woken; /* the next slot to look at */
static size_t n_waiting;
static struct figures f;

static void
count_latency(struct latencies *l, int64_t ns)
{
	size_t step = 0;
	double edge = 1e4;

	while (step < STEPS - 1 && (double)ns > edge) {
		edge *= 1.02;
		step++;
	}
	l->n[step]++;
	l->n_all++;
}

/* In milliseconds. */
static double
quantile(const struct latencies *l, double q)
{
	uint64_t wanted = (uint64_t)(q * (double)l->n_all);
	uint64_t seen = 0;
	double edge = 1e4;

	for (size_t i = 0; i < STEPS; i++, edge *= 1.02) {
		seen += l->n[i];
		if (seen > wanted)
			return edge / 1e6;
	}
	return 0;
}

static int
connect_new(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		return -1;
	MUST(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
	return fd;
}

/* ---- replies ---- */

/* The value of a header of the reply, up to its line's end; NULL without one. */
static const char *
find_header(const struct connection *c, const char *name, size_t *n)
{
	const char *at = strcasestr(c->reply, name);

	if (at == NULL)
		return NULL;
	at += strlen(name);
	*n = strcspn(at, "\r\n");
	return at;
}

/* Whether the whole reply is here. */
static bool
is_whole(const struct connection *c)
{
	const char *end = strstr(c->reply, "\r\n\r\n");
	size_t n = 0;

	if (end == NULL)
		return false;
	const char *length = find_header(c, "\r\nContent-Length: ", &n);
	size_t body = length != NULL ? strtoul(length, NULL, 10) : 0;
	return c->n >= (size_t)(end - c->reply) + 4 + body;
}

static unsigned
status_of(const struct connection *c)
{
	return c->n > 12 ? (unsigned)strtoul(c->reply + 9, NULL, 10) : 0;
}

/* ---- connections ---- */

static void
put_idle(struct connection *c)
{
	c->is_busy = false;
	idle[(idle_first + idle_n) % n_connections] = c;
	idle_n++;
}

/* NULL when all are busy or wait for their time. */
static struct connection *
take_idle(void)
{
	if (idle_n == 0)
		return NULL;
	struct connection *c = idle[idle_first];
	idle_first = (idle_first + 1) % n_connections;
	idle_n--;
	return c;
}

/* Turned away: its client comes again after so many seconds, or up to one more, as not all may come at once. */
static void
put_waiting(struct connection *c, int64_t now, unsigned long seconds)
{
	int64_t at = now / SLOT_NS + (int64_t)seconds * (NS_PER_SEC / SLOT_NS) +
		     random() % (NS_PER_SEC / SLOT_NS);
	struct connection **slot = &waiting[at % SLOTS];

	c->is_busy = false;
	c->next = *slot;
	*slot = c;
	n_waiting++;
}

/* Those whose time has come. */
static void
wake_waiting(int64_t now)
{
	for (; woken <= now / SLOT_NS; woken++) {
		struct connection *c = waiting[woken % SLOTS];
		waiting[woken % SLOTS] = NULL;
		for (; c != NULL; c = c->next) {
			put_idle(c);
			n_waiting--;
		}
	}
}

static void
open_connection(struct connection *c)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

	c->fd = connect_new();
	if (c->fd < 0)
		bench_fail("connect", strerror(errno));
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0);
}

static void
send_request(struct connection *c, int64_t now)
{
	c->is_busy = true;
	c->is_measured = now >= measure_ns;
	c->sent_ns = now;
	c->n = 0;
	if (send(c->fd, request.p, request.n, MSG_NOSIGNAL) == (ssize_t)request.n)
		return;
	/* The server has closed it: a new one. */
	f.n_broken++;
	close(c->fd);
	open_connection(c);
	MUST(send(c->fd, request.p, request.n, MSG_NOSIGNAL) == (ssize_t)request.n);
}

static void
note_answered(const struct connection *c)
{
	size_t n = 0;
	const char *id = find_header(c, "\r\nX-Request-Id: ", &n);

	if (id == NULL)
		bench_fail("answer", "without X-Request-Id");
	fprintf(answered, "%.*s\n", (int)n, id);
}

/* A reply is here: counted, and the connection is free, at once or later. */
static void
end_request(struct connection *c, int64_t now)
{
	unsigned status = status_of(c);
	size_t n = 0;
	const char *after = find_header(c, "\r\nRetry-After: ", &n);

	if (status == 200)
		note_answered(c);
	if (c->is_measured && now < end_ns) {
		f.n_answered += status == 200;
		f.n_shed += status == 503;
		f.n_other += status != 200 && status != 503;
		if (status == 200)
			count_latency(&f.answered, now - c->sent_ns);
		if (status == 503)
			count_latency(&f.shed, now - c->sent_ns);
	}
	unsigned long seconds = after != NULL ? strtoul(after, NULL, 10) : 0;
	if (status == 503 && heeds && seconds > 0 && seconds <= RETRY_MAX)
		put_waiting(c, now, seconds);
	else if (is_closed_loop && now < end_ns)
		send_request(c, now);
	else
		put_idle(c);
}

static void
on_readable(struct connection *c)
{
	ssize_t n = recv(c->fd, c->reply + c->n, sizeof(c->reply) - 1 - c->n, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		bool was_busy = c->is_busy;
		f.n_broken++;
		close(c->fd);
		open_connection(c);
		/* One that waits is in its slot still. */
		if (was_busy)
			put_idle(c);
		return;
	}
	c->n += (size_t)n;
	c->reply[c->n] = '\0';
	if (!is_whole(c))
		return;
	if (!c->is_busy)
		bench_fail("reply", "nobody has asked for it");
	end_request(c, clock_mono_ns());
}

/* ---- the loads ---- */

static void
send_due(int64_t now, double rate, uint64_t *n_due)
{
	uint64_t due = (uint64_t)((double)(now - begin_ns) / 1e9 * rate);

	for (; *n_due < due; (*n_due)++) {
		struct connection *c = take_idle();
		f.n_due += now >= measure_ns;
		if (c == NULL)
			f.n_unsent += now >= measure_ns;
		else
			send_request(c, now);
	}
}

static void
take_replies(int wait_ms)
{
	struct epoll_event events[EVENTS];
	int n = epoll_wait(epoll_fd, events, EVENTS, wait_ms);

	for (int i = 0; i < n; i++)
		on_readable(events[i].data.ptr);
}

static void
run(double rate)
{
	uint64_t n_due = 0;

	if (is_closed_loop) {
		while (idle_n > 0)
			send_request(take_idle(), begin_ns);
	}
	for (int64_t now = clock_mono_ns(); now < end_ns; now = clock_mono_ns()) {
		wake_waiting(now);
		if (!is_closed_loop)
			send_due(now, rate, &n_due);
		take_replies(1);
	}
	/* What was sent is answered, so that the ledger can be compared. */
	int64_t last_ns = clock_mono_ns() + 10 * NS_PER_SEC;
	while (idle_n + n_waiting < n_connections && clock_mono_ns() < last_ns)
		take_replies(10);
}

/* ---- probes ---- */

static void
ask(struct probe *p, struct connection *c)
{
	int64_t begin = clock_mono_ns();

	if (c->fd < 0)
		c->fd = connect_new();
	c->n = 0;
	c->reply[0] = '\0';
	ssize_t n = c->fd < 0 ? -1 : send(c->fd, p->request.p, p->request.n, MSG_NOSIGNAL);
	while (n > 0 && !is_whole(c) && c->n < sizeof(c->reply) - 1) {
		n = recv(c->fd, c->reply + c->n, sizeof(c->reply) - 1 - c->n, 0);
		c->n += n > 0 ? (size_t)n : 0;
		c->reply[c->n] = '\0';
	}
	if (n <= 0 || status_of(c) != 200) {
		p->n_failed++;
		close(c->fd);
		c->fd = -1;
	}
	if (begin >= measure_ns)
		count_latency(&p->latencies, clock_mono_ns() - begin);
}

static void *
run_probe(void *arg)
{
	struct probe *p = arg;
	struct connection *c = mem_zalloc(1, sizeof(*c));

	MUST(c != NULL);
	c->fd = -1;
	while (clock_mono_ns() < end_ns) {
		ask(p, c);
		nanosleep(&(struct timespec){.tv_nsec = p->pause_ns}, NULL);
	}
	mem_free(c);
	return NULL;
}

/* ---- the report ---- */

static void
print_latencies(const char *name, const struct latencies *l)
{
	char text[64];
	const struct {
		const char *name;
		double q;
	} rows[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1 - 1e-12}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "%s_%s", name, rows[i].name);
		bench_print(text, quantile(l, rows[i].q), "ms");
	}
}

static void
print_figures(const struct probe *probes, size_t n_probes)
{
	double seconds = (double)(end_ns - measure_ns) / 1e9;
	char text[48];

	bench_print("offered", (double)f.n_due / seconds, "per_s");
	bench_print("unsent", (double)f.n_unsent / seconds, "per_s");
	bench_print("goodput", (double)f.n_answered / seconds, "per_s");
	bench_print("shed", (double)f.n_shed / seconds, "per_s");
	bench_print("other", (double)f.n_other, "replies");
	bench_print("closed", (double)f.n_broken, "connections");
	bench_print("unanswered", (double)(n_connections - idle_n - n_waiting), "requests");
	print_latencies("answered", &f.answered);
	print_latencies("turned_away", &f.shed);
	for (size_t i = 0; i < n_probes; i++) {
		snprintf(text, sizeof(text), "probe%zu", i);
		print_latencies(text, &probes[i].latencies);
		snprintf(text, sizeof(text), "probe%zu_failed", i);
		bench_print(text, (double)probes[i].n_failed, "replies");
	}
}

int
main(int argc, char **argv)
{
	static struct probe probes[PROBES_MAX];

	if (argc < 8 || argc > 8 + PROBES_MAX) {
		fprintf(stderr, "usage: bench_open_load PORT REQUEST CONNECTIONS RATE MILLISECONDS "
				"heed|ignore ANSWERED "
				"[PROBE...]\n");
		return 2;
	}
	port = (uint16_t)bench_read_number(argv[1], UINT16_MAX);
	request = bench_read_file(argv[2]);
	n_connections = (size_t)bench_read_number(argv[3], CONNECTIONS_MAX);
	is_closed_loop = strcmp(argv[4], "0") == 0;
	double rate = is_closed_loop ? 0 : (double)bench_read_number(argv[4], RATE_MAX);
	int64_t length_ns = bench_read_number(argv[5], 600000) * NS_PER_MS;
	heeds = strcmp(argv[6], "heed") == 0;
	answered = fopen(argv[7], "we");
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	connections = mem_zalloc(n_connections, sizeof(*connections));
	idle = mem_zalloc(n_connections, sizeof(struct connection *));
	if (answered == NULL || epoll_fd < 0 || connections == NULL || idle == NULL)
		bench_fail("start", strerror(errno));
	for (size_t i = 0; i < n_connections; i++) {
		open_connection(&connections[i]);
		put_idle(&connections[i]);
	}
	begin_ns = clock_mono_ns();
	woken = begin_ns / SLOT_NS;
	measure_ns = begin_ns + length_ns / 3;
	end_ns = begin_ns + length_ns;
	size_t n_probes = (size_t)argc - 8;
	for (size_t i = 0; i < n_probes; i++) {
		char *colon = strrchr(argv[8 + i], ':');
		if (colon == NULL)
			bench_fail(argv[8 + i], "has no pause");
		*colon = '\0';
		probes[i].request = bench_read_file(argv[8 + i]);
		probes[i].pause_ns = bench_read_number(colon + 1, 999) * NS_PER_MS;
		MUST(pthread_create(&probes[i].thread, NULL, run_probe, &probes[i]) == 0);
	}
	run(rate);
	for (size_t i = 0; i < n_probes; i++)
		pthread_join(probes[i].thread, NULL);
	if (fclose(answered) != 0)
		bench_fail(argv[7], strerror(errno));
	print_figures(probes, n_probes);
	return 0;
}
