/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The corpus of raw HTTP over a socket: the statuses, whether the server closes, which
 * requests ran, and that each refusal is counted. */
#include "base/metric.h"
#include "net/gate.h"
#include "rig.h"
#include "support/wire_case.h"

static struct rig rig;

/* Every reply of ours has these, whatever it answers. */
static void
check_reply(const struct wire_case *c, const struct rig_reply *reply, bool is_last)
{
	struct span type = rig_find(reply, "Content-Type");

	if (!span_starts(rig_find(reply, "X-Request-Id"), SPAN_LIT("req_")) ||
		rig_find(reply, "Date").n != 29 ||
		!span_eq_cstr(rig_find(reply, "Server"), "nomos"))
		FAIL("\"%s\": a header is missing in \"%.*s\"", c->name, SPAN_ARG(reply->head));
	if (!span_eq_cstr(type, "application/json") && reply->body.n > 0)
		FAIL("\"%s\": Content-Type is \"%.*s\"", c->name, SPAN_ARG(type));
	if (reply->status >= 400 &&
		!span_starts(reply->body,
			SPAN_LIT("{\"decision\":\"DENY\",\"reason\":\"validation_error: ")))
		FAIL("\"%s\": body is \"%.*s\"", c->name, SPAN_ARG(reply->body));
	if (is_last && c->is_close && !span_eq_cstr(rig_find(reply, "Connection"), "close"))
		FAIL("\"%s\": closes without saying so", c->name);
}

static void
check_end(const struct wire_case *c, struct rig_client *client)
{
	struct rig_reply reply;

	if (c->is_close) {
		if (!rig_wait_eof(&rig, client) || client->is_reset)
			FAIL("\"%s\": %s", c->name, client->is_reset ? "reset" : "not closed");
		if (client->at != client->in.n)
			FAIL("\"%s\": bytes behind the last reply", c->name);
		return;
	}
	if (c->is_unfinished) {
		if (client->at != client->in.n || client->is_eof)
			FAIL("\"%s\": answered too early", c->name);
		return;
	}
	rig_send_text(&rig, client, "GET /probe HTTP/1.1\r\nHost: h\r\n\r\n");
	if (!rig_wait_reply(&rig, client, false, &reply) || reply.status != 200)
		FAIL("\"%s\": the connection is not usable any more", c->name);
	buf_truncate(&rig.ran, rig.ran.n >= 13 ? rig.ran.n - 13 : 0);
}

/* An interim answer is right only for a request that asked for one and came in pieces. */
static bool
wait_final_reply(
	const struct wire_case *c, struct rig_client *client, bool is_head, struct rig_reply *reply)
{
	if (!rig_wait_reply(&rig, client, is_head, reply))
		return false;
	if (reply->status != 100)
		return true;
	if (strstr(c->name, "Expect") == NULL)
		FAIL("\"%s\": told to continue", c->name);
	return rig_wait_reply(&rig, client, is_head, reply);
}

/* Whether answer i is one to HEAD, as the lines of what ran say. */
static bool
is_head_reply(const struct wire_case *c, size_t i)
{
	struct span ran = buf_span(&c->ran);

	for (; i > 0 && ran.n > 0; i--) {
		size_t n = span_find(ran, '\n');
		ran = span_from(ran, n < ran.n ? n + 1 : n);
	}
	return span_starts(ran, SPAN_LIT("HEAD"));
}

static uint64_t
count_refusals(void)
{
	uint64_t n = 0;

	for (int why = GATE_OK + 1; why < GATE__MAX; why++)
		n += gate_count((enum gate_refusal)why);
	return n;
}

/* The handler answers everything with 200: what is answered otherwise was refused by the gate, each once. */
static void
check_counts(const struct wire_case *c, uint64_t n_before, int64_t metric_before)
{
	uint64_t n_refused = 0;

	for (size_t i = 0; i < c->n_statuses; i++)
		n_refused += c->statuses[i] >= 400;
	if (count_refusals() - n_before != n_refused ||
		metric_get(METRIC_REQUESTS_REFUSED) - metric_before != (int64_t)n_refused)
		FAIL("\"%s\": refusals are not counted as they are", c->name);
}

static void
run_in_pieces(const struct wire_case *c, size_t size)
{
	struct rig_client client;
	struct rig_reply reply;
	struct span rest = buf_span(&c->send);
	uint64_t n_before = count_refusals();
	int64_t metric_before = metric_get(METRIC_REQUESTS_REFUSED);

	buf_reset(&rig.ran);
	rig_connect(&rig, &client);
	while (rest.n > 0) {
		size_t n = size < rest.n ? size : rest.n;
		/* A TLS client that has met the end while it wrote cannot read any more. */
		rig_receive(&client);
		rig_send(&rig, &client, span_of(rest.p, n));
		rig_turn(&rig, NULL);
		rig_turn(&rig, NULL);
		rest = span_from(rest, n);
	}
	for (size_t i = 0; i < c->n_statuses; i++) {
		bool is_head = is_head_reply(c, i);
		if (!wait_final_reply(c, &client, is_head, &reply)) {
			FAIL("\"%s\" in pieces of %zu: no answer %zu", c->name, size, i + 1);
			rig_close(&client);
			return;
		}
		if (reply.status != c->statuses[i])
			FAIL("\"%s\" in pieces of %zu: answer %zu is %u", c->name, size, i + 1,
				reply.status);
		check_reply(c, &reply, i + 1 == c->n_statuses);
	}
	check_end(c, &client);
	check_counts(c, n_before, metric_before);
	if (!span_eq(buf_span(&rig.ran), buf_span(&c->ran)))
		FAIL("\"%s\" in pieces of %zu: ran \"%.*s\"", c->name, size,
			SPAN_ARG(buf_span(&rig.ran)));
	rig_close(&client);
}

static void
run_case(const struct wire_case *c)
{
	struct wire_case other = {0};

	wire_case_behind(c, &other);
	run_in_pieces(&other, other.send.n);
	wire_case_before(c, &other);
	run_in_pieces(&other, other.send.n);
	run_in_pieces(&other, 13);
	wire_case_fini(&other);
	run_in_pieces(c, c->send.n);
	run_in_pieces(c, 13);
	if (c->send.n < 1500)
		run_in_pieces(c, 1);
}

TEST(corpus_over_a_socket)
{
	rig_options(&rig);
	rig_start(&rig);
	wire_each(run_case);
	rig_check_alive(&rig);
	CHECK(rig_wait_connections(&rig, 0));
	rig_stop(&rig);
}

SUITE("net/wire", TEST_ROW(corpus_over_a_socket))
