/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Notices of approvals against a receiver: what is sent, in which form, what is tried again and what is given up. */
#include "outbound/notice.h"

#include "audit/sink.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/metric.h"
#include "notice_text.h"
#include "receiver.h"

#define HASH "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID "apr_0123456789abcdef01234567"
#define FAR "2096-02-26T12:00:00Z"

static struct sink *
new_sink(const struct server *s, enum notice_kind kind)
{
	char url[64];
	struct sink *sink = NULL;
	struct errinfo ei;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/T0KEN", s->port);
	struct notice_options o = {
		.name = SPAN_LIT("desk"),
		.kind = kind,
		.to.url = span_cstr(url),
		.to.secret = SPAN_LIT(SECRET),
		.page = SPAN_LIT("https://nomos.example/ui/"),
		.to.timeout_ns = 10 * NS_PER_SEC,
	};
	if (notice_sink_new(&o, &sink, &ei) != OK)
		FAIL("%s", ei.msg);
	return sink;
}

/* A record of an approval; resource is JSON text without its quotes. */
static struct sink_record
record_of(uint64_t seq, const char *event, const char *resource, const char *expires)
{
	static char text[8][2048];
	char *out = text[seq % 8];
	int n = snprintf(out, sizeof(text[0]),
		"{\"action_fingerprint\":\"f00\",\"action_id\":\"act-1\",\"action_type\":\"fs."
		"write\","
		"\"agent\":\"coder\",\"approval_expires_at\":\"%s\",\"approval_id\":\"" ID "\","
		"\"approval_needed\":2,\"chain_id\":\"00112233445566778899aabbccddeeff\","
		"\"environment\":\"dev\",\"event_type\":\"%s\",\"principal\":\"alice\","
		"\"resource_normalized\":\"%s\",\"seq\":%llu,\"trace_id\":\"t-1\"}",
		expires, event, resource, (unsigned long long)seq);

	return (struct sink_record){
		.seq = seq, .body = span_of(out, (size_t)n), .event_hash = SPAN_LIT(HASH)};
}

static enum err
deliver(struct sink *sink, const struct sink_record *r, size_t n, size_t *n_taken)
{
	struct errinfo ei;

	*n_taken = 0;
	return sink->ops->deliver(sink, r, n, n_taken, &ei);
}

static void
end(struct sink *sink, struct server *s)
{
	sink->ops->free(sink);
	server_stop(s);
}

static const struct json *
parse(const char *text, struct arena *a)
{
	const struct json *root = NULL;
	struct errinfo ei;

	if (json_parse(span_cstr(text), a, &root, NULL, &ei) != OK)
		FAIL("%s: %s", ei.msg, text);
	return root;
}

TEST(what_is_asked_for_is_told_and_nothing_else)
{
	static struct server s = {.status = {200, 204}};
	struct arena *a = arena_new(1024 * 1024);
	const struct sink_record r[] = {
		record_of(1, "action.decision", "file://workspace/a", FAR),
		record_of(2, "approval.requested", "file://workspace/a", FAR),
		record_of(3, "approval.decided", "file://workspace/a", FAR),
		record_of(4, "approval.requested", "file://workspace/b", FAR),
	};
	int64_t sent = metric_get(METRIC_NOTICES);
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, NOTICE_GENERIC);
	CHECK(sink->is_advisory);
	CHECK_STR(sink->name, "notify:desk");
	CHECK_INT(deliver(sink, r, 4, &n), OK);
	CHECK_INT(n, 4);
	end(sink, &s);
	CHECK_INT(s.n, 2);
	CHECK_INT(metric_get(METRIC_NOTICES) - sent, 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK(is_signed(s.request[i]));
		CHECK_SPAN(header(s.request[i], "X-Nomos-Event"), "approval.requested");
		CHECK_SPAN(header(s.request[i], "X-Nomos-Approval-Id"), ID);
	}
	const struct json *root = parse(body_of(s.request[1]), a);
	CHECK_SPAN(json_find_cstr(root, "approval_id")->text, ID);
	CHECK_SPAN(json_find_cstr(root, "approval_expires_at")->text, FAR);
	CHECK_SPAN(json_find_cstr(root, "resource")->text, "file://workspace/b");
	CHECK_SPAN(json_find_cstr(root, "principal")->text, "alice");
	CHECK_SPAN(json_find_cstr(root, "needed")->text, "2");
	CHECK_SPAN(json_find_cstr(root, "page")->text, "https://nomos.example/ui/");
	arena_free(&a);
}

TEST(a_notice_that_may_get_through_later_is_tried_again)
{
	static struct server s = {.status = {500, 429, 408, 503, 500, 429, 200}};
	const struct sink_record r = record_of(1, "approval.requested", "x", FAR);
	int64_t lost = metric_get(METRIC_NOTICES_LOST);
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, NOTICE_GENERIC);
	for (int i = 0; i < 6; i++) {
		CHECK_INT(deliver(sink, &r, 1, &n), ERR_IO);
		CHECK_INT(n, 0);
	}
	CHECK_INT(deliver(sink, &r, 1, &n), OK);
	CHECK_INT(n, 1);
	end(sink, &s);
	CHECK_INT(metric_get(METRIC_NOTICES_LOST), lost);
}

TEST(one_that_is_refused_for_good_is_given_up_and_counted)
{
	static struct server s = {.status = {404, 404, 404, 404, 404, 200}};
	const struct sink_record r[] = {record_of(1, "approval.requested", "x", FAR),
		record_of(2, "approval.requested", "x", FAR)};
	int64_t lost = metric_get(METRIC_NOTICES_LOST);
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, NOTICE_GENERIC);
	for (int i = 0; i < 4; i++)
		CHECK_INT(deliver(sink, r, 2, &n), ERR_IO);
	CHECK_INT(metric_get(METRIC_NOTICES_LOST), lost);
	/* The fifth is the last, and the next one goes out. */
	CHECK_INT(deliver(sink, r, 2, &n), OK);
	CHECK_INT(n, 2);
	end(sink, &s);
	CHECK_INT(s.n, 6);
	CHECK_INT(metric_get(METRIC_NOTICES_LOST) - lost, 1);
}

TEST(an_approval_that_has_run_out_holds_nothing_up)
{
	static struct server s = {.status = {200}};
	const struct sink_record r[] = {
		record_of(1, "approval.requested", "x", "2001-02-26T12:00:00Z"),
		record_of(2, "approval.requested", "x", "no time"),
		record_of(3, "approval.requested", "x", FAR)};
	int64_t lost = metric_get(METRIC_NOTICES_LOST);
	size_t n = 0;

	server_start(&s);
	struct sink *sink = new_sink(&s, NOTICE_GENERIC);
	CHECK_INT(deliver(sink, r, 3, &n), OK);
	CHECK_INT(n, 3);
	end(sink, &s);
	CHECK_INT(s.n, 1);
	CHECK_INT(metric_get(METRIC_NOTICES_LOST) - lost, 2);
}

TEST(forbidden_addresses_are_not_called)
{
	const struct sink_record r = record_of(1, "approval.requested", "x", FAR);
	struct notice_options o = {.name = SPAN_LIT("desk"),
		.to.url = SPAN_LIT("http://169.254.169.254/latest"),
		.to.timeout_ns = 10 * NS_PER_SEC};
	struct sink *sink = NULL;
	size_t n = 0;

	CHECK_INT(notice_sink_new(&o, &sink, NULL), OK);
	CHECK_INT(deliver(sink, &r, 1, &n), ERR_FORBIDDEN);
	CHECK_INT(n, 0);
	sink->ops->free(sink);
	o.to.url = SPAN_LIT("ftp://127.0.0.1/");
	CHECK_INT(notice_sink_new(&o, &sink, NULL), ERR_INVALID);
	o.to.url = SPAN_LIT("http://127.0.0.1/");
	o.name = SPAN_NONE;
	CHECK_INT(notice_sink_new(&o, &sink, NULL), ERR_INVALID);
}

/* What an agent may choose: markup, mentions, links, the characters that change the order of letters. */
#define HOSTILE                                                                                    \
	"file://workspace/<!channel> <https://evil.example|here> *b* [x](https://evil.example) "   \
	"\\u202etxt.exe\\u2066 \\u200b \\\"q\\\" &amp; \\u0007"

static void
check_clean(struct span text)
{
	for (size_t i = 0; i + 2 < text.n; i++) {
		bool is_hidden = memcmp(text.p + i, "\xe2\x80\xae", 3) == 0 ||
				 memcmp(text.p + i, "\xe2\x81\xa6", 3) == 0 ||
				 memcmp(text.p + i, "\xe2\x80\x8b", 3) == 0;
		if (is_hidden || (text.p[i] < ' ' && text.p[i] > '\0' && text.p[i] != '\n'))
			FAIL("byte %zu is not shown", i);
	}
}

TEST(chats_get_plain_text)
{
	struct arena *a = arena_new(1024 * 1024);
	const struct sink_record r = record_of(1, "approval.requested", HOSTILE, FAR);
	struct notice n;
	struct buf b;

	CHECK(notice_read(r.body, a, &n));
	buf_init(&b, BUF_CAP_RECORD);
	notice_build(NOTICE_SLACK, &n, SPAN_NONE, &b);
	CHECK(!buf_failed(&b));
	const struct json *root = parse(b.p, a);
	CHECK_SPAN(json_find_cstr(root, "text")->text, "An action waits for approval: " ID);
	const struct json *block = json_find_cstr(root, "blocks")->first;
	const struct json *text = json_find_cstr(block, "text");
	CHECK_SPAN(json_find_cstr(text, "type")->text, "plain_text");
	check_clean(json_find_cstr(text, "text")->text);
	CHECK(strstr(b.p, "Decide at") == NULL);

	buf_reset(&b);
	notice_build(NOTICE_TEAMS, &n, SPAN_LIT("https://nomos.example/ui/"), &b);
	root = parse(b.p, a);
	const struct json *content =
		json_find_cstr(json_find_cstr(root, "attachments")->first, "content");
	size_t n_runs = 0;
	for (const struct json *e = json_find_cstr(content, "body")->first->next; e != NULL;
		e = e->next) {
		CHECK_SPAN(json_find_cstr(e, "type")->text, "RichTextBlock");
		check_clean(
			json_find_cstr(json_find_cstr(e, "inlines")->first->next, "text")->text);
		n_runs++;
	}
	CHECK_INT(n_runs, 8);
	buf_fini(&b);
	arena_free(&a);
}

TEST(long_values_are_cut_between_characters)
{
	struct arena *a = arena_new(1024 * 1024);
	char longer[1500] = "";
	struct notice n;
	struct buf b;

	for (size_t i = 0; i < 700; i++)
		memcpy(longer + 2 * i, "\xc3\xa4", 3);
	CHECK(notice_read(record_of(1, "approval.requested", longer, FAR).body, a, &n));
	CHECK_INT(n.resource.n, 1400);
	buf_init(&b, BUF_CAP_RECORD);
	notice_build(NOTICE_SLACK, &n, SPAN_NONE, &b);
	parse(b.p, a);
	CHECK(b.n < 1000);
	buf_fini(&b);
	arena_free(&a);
}

SUITE("notice", TEST_ROW(what_is_asked_for_is_told_and_nothing_else),
	TEST_ROW(a_notice_that_may_get_through_later_is_tried_again),
	TEST_ROW(one_that_is_refused_for_good_is_given_up_and_counted),
	TEST_ROW(an_approval_that_has_run_out_holds_nothing_up),
	TEST_ROW(forbidden_addresses_are_not_called), TEST_ROW(chats_get_plain_text),
	TEST_ROW(long_values_are_cut_between_characters))
