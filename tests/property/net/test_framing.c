/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The framing machine agrees with the reference parser: over every case of the corpus, and over streams made of the
 * corpus and of parts of requests, changed at random and cut at random. Seeds are fixed.
 */
#include "support/framing_compare.h"
#include "support/wire_case.h"

#define CASES_MAX 1000
#define STREAM_MAX (16 * 1024)

static const struct framing_limits limits = {
	.max_headers_bytes = 4096,
	.max_line_bytes = 4096,
	.max_headers = 20,
	.max_body_bytes = 1000,
};

/* Small enough for a changed stream to meet them. */
static const struct framing_limits tight = {
	.max_headers_bytes = 300,
	.max_line_bytes = 60,
	.max_headers = 6,
	.max_body_bytes = 20,
};

static struct buf sends[CASES_MAX];
static size_t n_sends;

/* Parts that a stream is made of and changed with. */
static const char *const parts[] = {
	"GET ",
	"POST ",
	"HEAD ",
	"OPTIONS ",
	"/",
	"/a",
	"*",
	"http://h",
	"https://H:80",
	"?",
	"%41",
	"//",
	" HTTP/1.1\r\n",
	" HTTP/1.0\r\n",
	" HTTP/1.2\r\n",
	"Host: h\r\n",
	"Host: H:80\r\n",
	"Content-Length: 5\r\n",
	"Content-Length: 0\r\n",
	"Content-Length: ",
	"content-length:20\r\n",
	"Transfer-Encoding: chunked\r\n",
	"transfer-encoding:\tCHUNKED \r\n",
	"Connection: close\r\n",
	"Connection: a, keep-alive\r\n",
	"Expect: 100-continue\r\n",
	"X-Nomos-A: b\r\n",
	"X: y\r\n",
	"Authorization: a\r\n",
	"\r\n",
	"\r\n\r\n",
	"hello",
	"5\r\nhello\r\n",
	"0\r\n\r\n",
	"a\r\n",
	"14\r\n",
	"00000005\r\n",
	"\r",
	"\n",
	" ",
	"\t",
	":",
	";",
	",",
	"\1",
	"\177",
	"\377",
};

static void
keep_case(const struct wire_case *c)
{
	if (n_sends == CASES_MAX)
		FAIL("more than %d cases", CASES_MAX);
	buf_init(&sends[n_sends], WIRE_BYTES_MAX);
	buf_add_span(&sends[n_sends], buf_span(&c->send));
	n_sends++;
}

static void
load_cases(void)
{
	if (n_sends == 0)
		wire_each(keep_case);
}

static uint64_t seed;

static size_t
pick(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed >> 11) % n;
}

static struct span
pick_part(void)
{
	if (pick(40) == 0)
		return span_of("\0", 1);
	return span_cstr(parts[pick(ARRAY_LEN(parts))]);
}

/* Replaces n bytes at `at` of the stream. */
static void
replace(struct buf *b, size_t at, size_t n, struct span with)
{
	static char tail[STREAM_MAX];
	size_t n_tail = b->n - at - n;

	if (b->n - n + with.n > STREAM_MAX)
		return;
	memcpy(tail, b->p + at + n, n_tail);
	buf_truncate(b, at);
	buf_add_span(b, with);
	buf_add(b, tail, n_tail);
}

static void
change(struct buf *b)
{
	static char copy[64];
	size_t at = pick(b->n + 1);
	size_t n = pick(b->n - at < 20 ? b->n - at + 1 : 20);
	char byte = (char)pick(256);

	switch (pick(4)) {
	case 0:
		replace(b, at, at < b->n ? 1 : 0, span_of(&byte, 1));
		break;
	case 1:
		replace(b, at, n, SPAN_NONE);
		break;
	case 2:
		replace(b, at, pick(2) * n, pick_part());
		break;
	default:
		memcpy(copy, b->p + at, n);
		replace(b, pick(b->n + 1), 0, span_of(copy, n));
		break;
	}
}

/* A request put together from parts, good more often than not. */
static void
add_request(struct buf *b)
{
	static const char *const targets[] = {
		"/", "/a", "/a?b", "/%41?", "*", "http://h", "http://h/?x"};
	static const char *const lines[] = {"", "X: y\r\n", "X-Nomos-A: b\r\n",
		"Connection: a, keep-alive\r\n", "Expect: 100-continue\r\n",
		"Authorization:  a \r\n", "Connection: close\r\n"};
	static const char *const bodies[] = {"\r\n", "Content-Length: 5\r\n\r\nhello",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\nx\r\n0\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length: 0\r\n\r\n"};

	buf_printf(b, "%s%s", parts[pick(4)], targets[pick(ARRAY_LEN(targets))]);
	buf_printf(b, "%sHost: h\r\n", pick(4) == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
	for (size_t n = pick(3); n > 0; n--)
		buf_add_span(b, span_cstr(lines[pick(ARRAY_LEN(lines))]));
	buf_add_span(b, span_cstr(bodies[pick(ARRAY_LEN(bodies))]));
}

/* A stream of two or three requests. */
static void
make_stream(struct buf *b)
{
	buf_reset(b);
	for (size_t n = 1 + pick(3); n > 0; n--) {
		struct span s = buf_span(&sends[pick(n_sends)]);
		if (pick(3) == 0 && s.n <= 1000 && b->n + s.n <= STREAM_MAX)
			buf_add_span(b, s);
		else
			add_request(b);
	}
}

static void
check(struct span in, const struct framing_limits *l, struct framing_cuts cuts)
{
	size_t n_requests = 0;
	const char *difference = compare_framings(in, l, cuts, &n_requests);

	if (difference != NULL)
		FAIL("%s, %zu requests were equal, pieces of %zu at most: \"%.*s\"", difference,
			n_requests, cuts.max, SPAN_ARG(in));
}

TEST(agrees_over_the_corpus)
{
	load_cases();
	for (size_t i = 0; i < n_sends; i++) {
		for (size_t max = 0; max < 12; max++) {
			check(buf_span(&sends[i]), &limits, (struct framing_cuts){max + i, max});
			check(buf_span(&sends[i]), &tight, (struct framing_cuts){max + i, max});
		}
	}
}

TEST(agrees_over_changed_streams)
{
	const char *wish = getenv("NOMOS_TEST_LONG");
	int rounds = wish != NULL && strcmp(wish, "yes") == 0 ? 3000000 : 300000;
	size_t n_good = 0;
	struct buf b;

	load_cases();
	seed = 0x9e3779b97f4a7c15u;
	buf_init(&b, 2 * STREAM_MAX);
	for (int i = 0; i < rounds; i++) {
		size_t n_requests = 0;
		make_stream(&b);
		for (size_t n = pick(4); n > 0; n--)
			change(&b);
		check(buf_span(&b), &limits, (struct framing_cuts){seed, pick(30)});
		check(buf_span(&b), &tight, (struct framing_cuts){seed, pick(4)});
		(void)compare_framings(
			buf_span(&b), &limits, (struct framing_cuts){0}, &n_requests);
		n_good += n_requests;
	}
	/* Else the streams would be too bad to say anything. */
	CHECK(n_good > (size_t)rounds / 5);
	buf_fini(&b);
}

SUITE("net/framing against the reference", TEST_ROW(agrees_over_the_corpus),
	TEST_ROW(agrees_over_changed_streams))
