/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the framing machine reads in byte streams, for tests in other languages. Each stream on standard input is
 * its length in decimal, a line feed and the bytes; for each one line of JSON comes out: [[method, target,
 * [[name, value], ...], body in hex], ..., status of the refusal or 0].
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../net/framing.h"

#define STREAM_MAX (1024 * 1024)

/* As in the configuration of the test: tests/e2e/test_proxies.py. */
static const struct framing_limits limits = {
	.max_headers_bytes = 128 * 1024,
	.max_line_bytes = 8 * 1024,
	.max_headers = 100,
	.max_body_bytes = 64 * 1024,
};

static void
print_text(struct span s)
{
	putchar('"');
	for (size_t i = 0; i < s.n; i++)
		printf("\\u%04x", (unsigned char)s.p[i]);
	putchar('"');
}

static void
print_request(const struct framing *f)
{
	printf("[\"%s\",", http_method_text(f->method));
	print_text(f->target);
	printf(",[");
	for (size_t i = 0; i < f->n_headers; i++) {
		printf("%s[", i > 0 ? "," : "");
		print_text(f->headers[i].name);
		putchar(',');
		print_text(f->headers[i].value);
		putchar(']');
	}
	printf("],\"");
	for (size_t i = 0; i < f->body.n; i++)
		printf("%02x", (unsigned char)f->body.p[i]);
	printf("\"],");
}

static void
read_stream(struct span in)
{
	struct framing f;
	bool goes_on = true;
	unsigned status = 0;

	framing_init(&f, &limits);
	putchar('[');
	while (in.n > 0 && goes_on) {
		size_t used = 0;
		enum framing_verdict verdict = framing_feed(&f, in, &used);
		in = span_from(in, used);
		if (verdict == FRAMING_REFUSED) {
			status = gate_status(f.why);
			goes_on = false;
		} else if (verdict == FRAMING_DONE) {
			print_request(&f);
			goes_on = !f.wants_close;
			framing_reset(&f);
		}
	}
	printf("%u]\n", status);
	framing_fini(&f);
}

int
main(void)
{
	static char bytes[STREAM_MAX];
	char line[32];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		size_t n = (size_t)strtoul(line, NULL, 10);
		if (n > sizeof(bytes) || fread(bytes, 1, n, stdin) != n) {
			fprintf(stderr, "a stream is too long or cut off\n");
			return 1;
		}
		read_stream(span_of(bytes, n));
	}
	return 0;
}
