/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The page's stream where the built program cannot easily be brought: a page that is told of more than it was kept, a right that ends, no
 * memory. Server, board and loop are real, the rest is played by the test. */
#include "base/buf.h"
#include "base/mem.h"
#include "played.h"
#include "routes.h"
#include "ui_state.h"

#define ID "apr_0123456789abcdef01234567"
#define GET "GET /s HTTP/1.1\r\nHost: h\r\n\r\n"

static bool may_stay;
static unsigned refused;

bool
exchange_may_stay(const struct http_request *http, struct worker *worker, enum role role)
{
	(void)http;
	(void)worker;
	CHECK_INT(role, ROLE_VIEWER);
	return may_stay;
}

void
ui_state_add_live(struct worker *w, struct buf *b)
{
	(void)w;
	BUF_ADD_LIT(b, "\"ready\":true");
}

void
reply_error(struct http_request *http, unsigned status, const char *code, struct span message,
	uint32_t retry_after_s)
{
	(void)code;
	CHECK(retry_after_s > 0);
	refused = status;
	http_request_reply(http, status, NULL, 0, message);
}

static unsigned long fail_at;

static void
open_stream(struct http_request *req, void *arg)
{
	struct exchange x = {.http = req, .caller.principal = SPAN_LIT("vera")};

	(void)arg;
	rig.pending = req;
	mem_fail_at(fail_at);
	api_ui_stream(&x);
	mem_fail_at(0);
}

static void
prepare(void)
{
	may_stay = true;
	refused = 0;
	fail_at = 0;
	rig_options(&rig);
	rig.options.body_deadline_ns =
		NS_PER_MS; /* there are no bodies; the sweep comes more often */
	rig.handler = open_stream;
	rig_start(&rig);
	CHECK_INT(board_new(&board, NULL), OK);
}

static void
stop(void)
{
	CHECK(rig_wait_connections(&rig, 0));
	CHECK_INT(http_server_count_requests(rig.server), 0);
	CHECK_INT(board_count(board, BOARD_ROOM_PAGES), 0);
	rig_stop(&rig);
	board_free(&board);
}

static void
begin(struct rig_client *c)
{
	rig_connect(&rig, c);
	rig_send_text(&rig, c, GET);
	CHECK(wait_text(c, "event: hello\ndata: {}\n\n"));
}

static void
check_whole_end(struct rig_client *c)
{
	CHECK(rig_wait_eof(&rig, c));
	CHECK(c->in.n > 5 && memcmp(c->in.p + c->in.n - 5, "0\r\n\r\n", 5) == 0);
}

TEST(news_is_told_in_order)
{
	struct rig_client c;

	prepare();
	begin(&c);
	board_publish(board, SPAN_LIT(ID), "pending");
	board_publish(board, SPAN_LIT(ID), "approved");
	CHECK(wait_text(
		&c, "event: approval\ndata: {\"approval_id\":\"" ID "\",\"status\":\"approved\"}"));
	CHECK(strstr(c.in.p, "\"pending\"") < strstr(c.in.p, "\"approved\""));
	CHECK(wait_text(&c, "event: overview\ndata: {\"ready\":true}\n\n"));
	rig_close(&c);
	stop();
}

TEST(a_page_that_could_not_be_told_of_all_has_to_come_back)
{
	struct rig_client c;

	prepare();
	begin(&c);
	for (int i = 0; i <= BOARD_NEWS_MAX; i++)
		board_publish(board, SPAN_LIT(ID), "pending");
	check_whole_end(&c);
	CHECK(strstr(c.in.p, "event: approval") == NULL);
	rig_close(&c);
	stop();
}

TEST(it_ends_with_the_right_to_it)
{
	struct rig_client c;

	prepare();
	begin(&c);
	may_stay = false;
	check_whole_end(&c);
	CHECK(strstr(c.in.p, "overview") == NULL);
	rig_close(&c);
	stop();
}

TEST(it_ends_with_the_server)
{
	struct rig_client c;

	prepare();
	begin(&c);
	http_server_stop_accepting(rig.server);
	check_whole_end(&c);
	rig_close(&c);
	stop();
}

TEST(a_principal_has_so_many_places)
{
	struct rig_client c[9];
	struct rig_reply reply;

	prepare();
	for (size_t i = 0; i < 8; i++)
		begin(&c[i]);
	rig_connect(&rig, &c[8]);
	rig_send_text(&rig, &c[8], GET);
	CHECK(rig_wait_reply(&rig, &c[8], false, &reply));
	CHECK_INT(reply.status, 429);
	for (size_t i = 0; i < 9; i++)
		rig_close(&c[i]);
	stop();
}

TEST(without_memory_it_is_refused_and_leaves_nothing)
{
	struct rig_client c;
	unsigned n_refused = 0;

	prepare();
	for (fail_at = 1; fail_at < 20; fail_at++) {
		refused = 0;
		rig_connect(&rig, &c);
		rig_send_text(&rig, &c, GET);
		rig.pending = NULL;
		while (rig.pending == NULL)
			rig_turn(&rig, &c);
		n_refused += refused == 503 ? 1 : 0;
		rig_close(&c);
		CHECK(rig_wait_connections(&rig, 0));
	}
	CHECK(n_refused >= 3);
	fail_at = 0;
	begin(&c);
	rig_close(&c);
	stop();
}

SUITE("ui stream", TEST_ROW(news_is_told_in_order),
	TEST_ROW(a_page_that_could_not_be_told_of_all_has_to_come_back),
	TEST_ROW(it_ends_with_the_right_to_it), TEST_ROW(it_ends_with_the_server),
	TEST_ROW(a_principal_has_so_many_places),
	TEST_ROW(without_memory_it_is_refused_and_leaves_nothing))
