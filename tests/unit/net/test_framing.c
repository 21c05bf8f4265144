/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The framing machine alone: every case of the corpus at every split, what it reads out of a
 * head, and its memory. */
#include "framing.h"

#include "base/mem.h"
#include "support/wire_case.h"

static const struct framing_limits limits = {
	.max_headers_bytes = 4096,
	.max_line_bytes = 4096,
	.max_headers = 20,
	.max_body_bytes = 1000,
};

/* What a run of the machine over some bytes gave. */
struct outcome {
	unsigned statuses[WIRE_STATUSES_MAX];
	size_t n;
	bool is_close;
	struct buf ran;
};

static void
note_request(struct outcome *o, const struct framing *f)
{
	buf_printf(&o->ran, "%s %.*s %zu\n", http_method_text(f->method), SPAN_ARG(f->target),
		f->body.n);
	o->statuses[o->n] = 200;
	o->n++;
	o->is_close = f->wants_close;
}

/* Feeds one piece until it is used up or the connection would end. */
static void
feed_piece(struct framing *f, struct span piece, struct outcome *o)
{
	while (piece.n > 0 && !o->is_close) {
		size_t used = 0;
		enum framing_verdict verdict = framing_feed(f, piece, &used);
		CHECK(used <= piece.n);
		CHECK(verdict != FRAMING_MORE || used == piece.n);
		CHECK(f->body.n <= limits.max_body_bytes && f->head.n <= limits.max_headers_bytes);
		piece = span_from(piece, used);
		if (verdict == FRAMING_REFUSED) {
			o->statuses[o->n] = gate_status(f->why);
			o->n++;
			o->is_close = true;
		} else if (verdict == FRAMING_DONE) {
			note_request(o, f);
			framing_reset(f);
		}
	}
}

static bool
is_as_expected(const struct wire_case *c, const struct outcome *o)
{
	if (o->n != c->n_statuses || o->is_close != c->is_close)
		return false;
	for (size_t i = 0; i < o->n; i++) {
		if (o->statuses[i] != c->statuses[i])
			return false;
	}
	return span_eq(buf_span(&o->ran), buf_span(&c->ran));
}

/* In pieces of `size` bytes, but the first of `first`. */
static void
run_split(const struct wire_case *c, size_t first, size_t size)
{
	struct outcome o = {0};
	struct framing f;
	struct span rest = buf_span(&c->send);

	framing_init(&f, &limits);
	buf_init(&o.ran, WIRE_RAN_MAX);
	size_t n = first;
	while (rest.n > 0) {
		n = n < rest.n ? n : rest.n;
		feed_piece(&f, span_of(rest.p, n), &o);
		rest = span_from(rest, n);
		n = size;
	}
	if (!is_as_expected(c, &o))
		FAIL("\"%s\", first piece %zu, then %zu: %zu answers, last %u, %s, ran \"%.*s\"",
			c->name, first, size, o.n, o.n > 0 ? o.statuses[o.n - 1] : 0,
			o.is_close ? "close" : "open", SPAN_ARG(buf_span(&o.ran)));
	framing_fini(&f);
	buf_fini(&o.ran);
}

static void
run_at_every_split(const struct wire_case *c)
{
	size_t n = c->send.n;

	run_split(c, n, n);
	run_split(c, 1, 1);
	run_split(c, 1, 7);
	for (size_t i = 1; i < n && i < 600; i++)
		run_split(c, i, n);
}

static void
run_case(const struct wire_case *c)
{
	struct wire_case other = {0};

	run_at_every_split(c);
	wire_case_behind(c, &other);
	run_at_every_split(&other);
	wire_case_before(c, &other);
	run_at_every_split(&other);
	wire_case_fini(&other);
}

TEST(corpus_at_every_split)
{
	wire_each(run_case);
}

static enum framing_verdict
feed_text(struct framing *f, const char *text)
{
	size_t used = 0;

	return framing_feed(f, span_cstr(text), &used);
}

TEST(reads_target_and_headers)
{
	const char *text = "POST /a/b?c=d?e HTTP/1.1\r\nHost: h\r\nX-One:  a b \t\r\n"
			   "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
	struct framing f;

	framing_init(&f, &limits);
	CHECK(framing_is_empty(&f));
	CHECK_INT(feed_text(&f, text), FRAMING_HEAD);
	CHECK_INT(f.method, HTTP_METHOD_POST);
	CHECK_SPAN(f.target, "/a/b?c=d?e");
	CHECK_SPAN(f.path, "/a/b");
	CHECK_SPAN(f.query, "c=d?e");
	CHECK(f.has_query && f.wants_continue && !f.wants_close && !f.is_http10);
	CHECK_INT(f.n_headers, 4);
	CHECK_SPAN(f.headers[1].name, "X-One");
	CHECK_SPAN(f.headers[1].value, "a b");
	CHECK_INT(feed_text(&f, "xy"), FRAMING_DONE);
	CHECK_SPAN(buf_span(&f.body), "xy");
	framing_fini(&f);
}

TEST(reads_absolute_target)
{
	struct framing f;

	framing_init(&f, &limits);
	CHECK_INT(feed_text(&f, "GET https://h?x HTTP/1.1\r\nHost: h\r\n\r\n"), FRAMING_DONE);
	CHECK_SPAN(f.path, "/");
	CHECK_SPAN(f.query, "x");
	framing_fini(&f);
}

TEST(expectation_of_http10_is_ignored)
{
	struct framing f;

	framing_init(&f, &limits);
	CHECK_INT(feed_text(&f,
			  "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
		FRAMING_HEAD);
	CHECK(!f.wants_continue && f.wants_close);
	framing_fini(&f);
}

TEST(takes_nothing_after_the_end)
{
	struct framing f;
	size_t used = 1;

	framing_init(&f, &limits);
	CHECK_INT(feed_text(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\nX"), FRAMING_DONE);
	CHECK_INT(framing_feed(&f, SPAN_LIT("X"), &used), FRAMING_DONE);
	CHECK_INT(used, 0);
	framing_reset(&f);
	CHECK_INT(feed_text(&f, "\1"), FRAMING_REFUSED);
	CHECK_INT(f.why, GATE_REQUEST_LINE);
	used = 1;
	CHECK_INT(framing_feed(&f, SPAN_LIT("GET"), &used), FRAMING_REFUSED);
	CHECK_INT(used, 0);
	framing_fini(&f);
}

TEST(a_declared_length_takes_no_memory)
{
	static const struct framing_limits big = {4096, 4096, 20, 64 * 1024 * 1024};
	struct framing f;

	framing_init(&f, &big);
	CHECK_INT(feed_text(&f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000000\r\n\r\nx"),
		FRAMING_HEAD);
	CHECK(f.body.size <= 4096);
	framing_fini(&f);
}

TEST(an_idle_machine_keeps_little)
{
	static const struct framing_limits big = {64 * 1024, 64 * 1024, 1000, 1024 * 1024};
	struct framing f;

	framing_init(&f, &big);
	CHECK_INT(feed_text(&f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n"),
		FRAMING_MORE);
	for (int i = 0; i < 900; i++)
		CHECK_INT(feed_text(&f, "Some-Header: with a value of some length\r\n"),
			FRAMING_MORE);
	CHECK_INT(feed_text(&f, "\r\n"), FRAMING_HEAD);
	for (int i = 0; i < 99999; i++)
		CHECK_INT(feed_text(&f, "x"), FRAMING_MORE);
	CHECK_INT(feed_text(&f, "x"), FRAMING_DONE);
	CHECK_INT(f.body.n, 100000);
	framing_reset(&f);
	CHECK(f.head.size + f.body.size + f.headers_size * sizeof(*f.headers) <= 8192);
	framing_fini(&f);
}

/* Each allocation failed once: the request is refused with 503 or goes on, and nothing leaks. */
TEST(memory_runs_out)
{
	const char *text = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
			   "chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	bool is_done = false;

	for (unsigned long n = 1; !is_done && n < 50; n++) {
		struct framing f;
		long live = mem_live();
		framing_init(&f, &limits);
		mem_fail_at(n);
		struct span rest = span_cstr(text);
		enum framing_verdict verdict = FRAMING_MORE;
		while (verdict == FRAMING_MORE || verdict == FRAMING_HEAD) {
			size_t used = 0;
			verdict = framing_feed(&f, rest, &used);
			rest = span_from(rest, used);
		}
		mem_fail_at(0);
		is_done = verdict == FRAMING_DONE;
		CHECK(is_done || f.why == GATE_MEMORY);
		framing_fini(&f);
		CHECK_INT(mem_live(), live);
	}
	CHECK(is_done);
}

TEST(table_of_refusals)
{
	for (int why = GATE_OK + 1; why < GATE__MAX; why++) {
		CHECK(gate_status((enum gate_refusal)why) >= 400);
		CHECK(gate_text((enum gate_refusal)why)[0] != '\0');
	}
	CHECK_INT(gate_status(GATE_OK), 0);
}

TEST(words)
{
	CHECK(http_is_token(SPAN_LIT("!#$%&'*+-.^_`|~09azAZ")));
	for (int c = 0; c < 256; c++) {
		char text[1] = {(char)c};
		bool is_special = c > 32 && c < 127 && strchr("\"(),/:;<=>?@[\\]{}", c) != NULL;
		CHECK_INT(http_is_token(span_of(text, 1)), c > 32 && c < 127 && !is_special);
		CHECK_INT(http_is_header_value(span_of(text, 1)), c > 32 && c != 127);
	}
	CHECK(!http_is_token(SPAN_NONE));
	CHECK(http_is_header_value(SPAN_LIT("a\tb c")));
	CHECK(!http_is_header_value(SPAN_LIT("a ")) && !http_is_header_value(SPAN_LIT("a\r\nb")));
	CHECK_STR(http_status_text(404), "Not Found");
	CHECK_STR(http_status_text(599), "Status");
	CHECK_INT(http_method_parse(SPAN_LIT("get")), HTTP_METHOD_UNKNOWN);
	CHECK_STR(http_method_text(http_method_parse(SPAN_LIT("PATCH"))), "PATCH");
}

SUITE("net/framing", TEST_ROW(corpus_at_every_split), TEST_ROW(reads_target_and_headers),
	TEST_ROW(reads_absolute_target), TEST_ROW(expectation_of_http10_is_ignored),
	TEST_ROW(takes_nothing_after_the_end), TEST_ROW(a_declared_length_takes_no_memory),
	TEST_ROW(an_idle_machine_keeps_little), TEST_ROW(memory_runs_out),
	TEST_ROW(table_of_refusals), TEST_ROW(words))
