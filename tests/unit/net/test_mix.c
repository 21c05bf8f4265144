/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection can do, mixed by chance: whatever the pieces in which clients send, however they
 * read, and whenever the handler answers, each whole request is answered once, in order, and none
 * is handed over before the one in front of it was answered.
 */
#include "rig.h"

#include <stdlib.h>

#include "server.h"

#define CLIENTS 48
#define REQUESTS 12
#define ROUNDS 3
#define BIG_BYTES (300 * 1024)
#define BODY "0123456789"

struct client {
	struct rig_client c;
	struct buf out;
	size_t sent;
	unsigned n_replies;
	unsigned n_handed;
	struct http_request *waiting; /* deferred */
	char kinds[REQUESTS];
	bool half_closes;
};

static struct rig rig;
static struct client clients[CLIENTS];
static char big[BIG_BYTES];
static uint64_t state;

/* xorshift64* */
static unsigned
chance(unsigned n)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (unsigned)((state * 2685821657736338717ULL) >> 33) % n;
}

static void
answer(struct http_request *req)
{
	const char *target = http_request_get_target(req).p;

	if (target[1] == 'p')
		http_request_pause_after(req);
	http_request_reply(req, 200, NULL, 0,
		target[1] == 'b' ? span_of(big, sizeof(big)) : http_request_get_body(req));
}

/* Targets are "/<kind>/<client>/<request>". */
static void
handle(struct http_request *req, void *arg)
{
	const char *target = http_request_get_target(req).p;
	char *end = NULL;

	(void)arg;
	struct client *k = &clients[strtoul(target + 3, &end, 10)];
	CHECK_INT(strtoul(end + 1, NULL, 10), k->n_handed);
	CHECK(k->waiting == NULL);
	CHECK(target[1] == k->kinds[k->n_handed]);
	k->n_handed++;
	if (chance(3) > 0) {
		answer(req);
		return;
	}
	http_request_defer(req);
	k->waiting = req;
}

static void
add_request(struct client *k, size_t client, unsigned request)
{
	static const char *const framings[] = {"Content-Length: 10\r\n\r\n" BODY,
		"Transfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n",
		"Expect: 100-continue\r\nContent-Length: 10\r\n\r\n" BODY};
	/* Few pauses: each takes a second. */
	char kind = request == REQUESTS / 2 && chance(4) == 0 ? 'p' : "bssssssss"[chance(9)];

	k->kinds[request] = kind;
	buf_printf(&k->out, "POST /%c/%zu/%u HTTP/1.1\r\nHost: h\r\n%s", kind, client, request,
		framings[chance(ARRAY_LEN(framings))]);
}

static void
begin(struct client *k, size_t index)
{
	*k = (struct client){.half_closes = chance(2) == 0};
	rig_connect(&rig, &k->c);
	buf_init(&k->out, 64 * 1024);
	for (unsigned i = 0; i < REQUESTS; i++)
		add_request(k, index, i);
}

static void
send_some(struct client *k)
{
	size_t left = k->out.n - k->sent;
	size_t most = chance(4) == 0 ? left : 1 + chance(200);

	if (left == 0 || chance(3) == 0)
		return;
	ssize_t n = rig_send_some(&k->c, span_of(k->out.p + k->sent, most < left ? most : left));
	k->sent += n > 0 ? (size_t)n : 0;
	if (k->sent == k->out.n && k->half_closes)
		shutdown(k->c.fd, SHUT_WR);
}

static void
read_some(struct client *k)
{
	struct rig_reply reply;

	if (chance(6) == 0)
		rig_receive(&k->c);
	while (rig_cut_reply(&k->c, false, &reply)) {
		if (reply.status == 100)
			continue;
		CHECK_INT(reply.status, 200);
		CHECK_INT(reply.body.n, k->kinds[k->n_replies] == 'b' ? BIG_BYTES : 10);
		k->n_replies++;
	}
}

static bool
do_something(struct client *k)
{
	send_some(k);
	read_some(k);
	if (k->waiting != NULL && chance(4) == 0) {
		struct http_request *req = k->waiting;
		k->waiting = NULL;
		answer(req);
	}
	return k->n_replies < REQUESTS || (k->half_closes && !k->c.is_eof);
}

static void
run_round(uint64_t seed)
{
	bool is_going = true;

	state = seed;
	rig_options(&rig);
	rig.handler = handle;
	rig.options.min_rate = 0;
	rig_start(&rig);
	for (size_t i = 0; i < CLIENTS; i++)
		begin(&clients[i], i);
	/* Handshakes of an instrumented build have taken longer than the requests. */
	int64_t end = clock_mono_ns() + 2 * RIG_WAIT_NS;
	while (is_going && clock_mono_ns() < end) {
		is_going = false;
		for (size_t i = 0; i < CLIENTS; i++)
			is_going = do_something(&clients[i]) || is_going;
		loop_turn(rig.loop, false);
	}
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *k = &clients[i];
		if (k->n_replies != REQUESTS || k->n_handed != REQUESTS || k->c.is_reset)
			FAIL("seed %llu: client %zu sent %zu of %zu bytes; %u handed, %u replies%s",
				(unsigned long long)seed, i, k->sent, k->out.n, k->n_handed,
				k->n_replies, k->c.is_reset ? ", reset" : "");
		rig_close(&k->c);
		buf_fini(&k->out);
	}
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	rig_stop(&rig);
}

TEST(each_request_is_answered_once_and_in_order)
{
	memset(big, 'x', sizeof(big));
	for (uint64_t seed = 1; seed <= ROUNDS; seed++)
		run_round(seed);
}

SUITE("net/mix", TEST_ROW(each_request_is_answered_once_and_in_order))
