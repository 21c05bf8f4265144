/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Reads tests/corpus/http/ (its README.md has the format) and calls back for each case. Test
 * programs only. */
#ifndef TESTS_SUPPORT_WIRE_CASE_H
#define TESTS_SUPPORT_WIRE_CASE_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/fdio.h"
#include "base/parse.h"
#include "support/test.h"

/* One more than a case may have: the runners add one. */
#define WIRE_STATUSES_MAX 16
#define WIRE_BYTES_MAX (128 * 1024)
#define WIRE_RAN_MAX (16 * 1024)

struct wire_case {
	char name[128];
	struct buf send;
	unsigned statuses[WIRE_STATUSES_MAX];
	size_t n_statuses;
	bool is_close;
	bool is_unfinished; /* the bytes end inside a request */
	struct buf ran;     /* lines as in the file, each with its LF */
};

typedef void (*wire_case_fn)(const struct wire_case *c);

static int
wire_hex(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Appends s with its escapes resolved. */
static void
wire_unescape(struct buf *b, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\\' || i + 1 == s.n) {
			buf_add_char(b, s.p[i]);
			continue;
		}
		i++;
		switch (s.p[i]) {
		case 'r':
			buf_add_char(b, '\r');
			break;
		case 'n':
			buf_add_char(b, '\n');
			break;
		case 't':
			buf_add_char(b, '\t');
			break;
		case '0':
			buf_add_char(b, '\0');
			break;
		case 'x':
			buf_add_char(b, (char)(wire_hex(s.p[i + 1]) * 16 + wire_hex(s.p[i + 2])));
			i += 2;
			break;
		default:
			buf_add_char(b, s.p[i]);
			break;
		}
	}
}

static void
wire_repeat(struct wire_case *c, struct span s)
{
	size_t n = span_find(s, ' ');
	uint64_t times = 0;

	if (!parse_uint(span_of(s.p, n), WIRE_BYTES_MAX, &times))
		FAIL("%s: bad repeat line", c->name);
	for (uint64_t i = 0; i < times; i++)
		wire_unescape(&c->send, span_from(s, n + 1));
}

static void
wire_expect(struct wire_case *c, struct span s)
{
	while (s.n > 0) {
		size_t n = span_find(s, ' ');
		struct span word = span_of(s.p, n);
		uint64_t status = 0;
		if (parse_uint(word, 599, &status) && c->n_statuses + 1 < WIRE_STATUSES_MAX) {
			c->statuses[c->n_statuses] = (unsigned)status;
			c->n_statuses++;
		} else {
			c->is_close = span_eq_cstr(word, "close");
			c->is_unfinished = span_eq_cstr(word, "waits");
			if (!c->is_close && !c->is_unfinished && !span_eq_cstr(word, "open"))
				FAIL("%s: bad expect line", c->name);
		}
		s = span_from(s, n < s.n ? n + 1 : n);
	}
}

static void
wire_case_fini(struct wire_case *c)
{
	buf_fini(&c->send);
	buf_fini(&c->ran);
	*c = (struct wire_case){0};
}

static inline void
wire_case_name(struct wire_case *out, const struct wire_case *c, const char *how)
{
	snprintf(out->name, sizeof(out->name), "%s%.100s", how, c->name);
}

static void
wire_reset(struct wire_case *c)
{
	struct wire_case next = {.send = c->send, .ran = c->ran};

	buf_reset(&next.send);
	buf_reset(&next.ran);
	*c = next;
}

static void
wire_read_line(struct wire_case *c, struct span line)
{
	if (span_starts(line, SPAN_LIT("send: "))) {
		wire_unescape(&c->send, span_from(line, 6));
	} else if (span_starts(line, SPAN_LIT("repeat: "))) {
		wire_repeat(c, span_from(line, 8));
	} else if (span_starts(line, SPAN_LIT("expect: "))) {
		wire_expect(c, span_from(line, 8));
	} else if (span_starts(line, SPAN_LIT("ran: "))) {
		buf_add_span(&c->ran, span_from(line, 5));
		buf_add_char(&c->ran, '\n');
	} else if (line.n > 0 && line.p[0] != '#') {
		FAIL("%s: unknown line \"%.*s\"", c->name, SPAN_ARG(line));
	}
}

/* The same behind a good request on one connection; release it with wire_case_fini. */
static inline void
wire_case_behind(const struct wire_case *c, struct wire_case *out)
{
	wire_case_fini(out);
	*out = *c;
	wire_case_name(out, c, "behind a good request: ");
	buf_init(&out->send, WIRE_BYTES_MAX);
	buf_add_span(&out->send,
		SPAN_LIT("PUT /first HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"));
	buf_add_span(&out->send, buf_span(&c->send));
	buf_init(&out->ran, WIRE_RAN_MAX);
	buf_printf(&out->ran, "PUT /first 3\n%.*s", SPAN_ARG(buf_span(&c->ran)));
	out->statuses[0] = 200;
	memcpy(out->statuses + 1, c->statuses, c->n_statuses * sizeof(c->statuses[0]));
	out->n_statuses++;
}

/* The same before a good request, which runs unless the connection is closed by then. A case whose last
 * request is unfinished stays as it is. */
static inline void
wire_case_before(const struct wire_case *c, struct wire_case *out)
{
	wire_case_fini(out);
	*out = *c;
	wire_case_name(out, c, "before a good request: ");
	buf_init(&out->send, WIRE_BYTES_MAX);
	buf_add_span(&out->send, buf_span(&c->send));
	buf_init(&out->ran, WIRE_RAN_MAX);
	buf_add_span(&out->ran, buf_span(&c->ran));
	if (c->is_unfinished)
		return;
	buf_add_span(&out->send, SPAN_LIT("GET /last HTTP/1.1\r\nHost: h\r\n\r\n"));
	if (c->is_close)
		return;
	buf_add_span(&out->ran, SPAN_LIT("GET /last 0\n"));
	out->statuses[out->n_statuses] = 200;
	out->n_statuses++;
}

static size_t
wire_each_in_file(const char *path, wire_case_fn fn)
{
	struct wire_case c = {0};
	struct errinfo ei;
	struct buf file;
	size_t n_cases = 0;

	buf_init(&file, 1024 * 1024);
	buf_init(&c.send, WIRE_BYTES_MAX);
	buf_init(&c.ran, WIRE_RAN_MAX);
	if (fdio_read_file(path, 1024 * 1024, &file, &ei) != OK)
		FAIL("%s", ei.msg);
	struct span rest = buf_span(&file);
	while (rest.n > 0) {
		size_t n = span_find(rest, '\n');
		struct span line = span_of(rest.p, n);
		rest = span_from(rest, n < rest.n ? n + 1 : n);
		if (!span_starts(line, SPAN_LIT("=== "))) {
			wire_read_line(&c, line);
			continue;
		}
		if (n_cases > 0)
			fn(&c);
		wire_reset(&c);
		snprintf(c.name, sizeof(c.name), "%.*s", SPAN_ARG(span_from(line, 4)));
		n_cases++;
	}
	if (n_cases > 0)
		fn(&c);
	wire_case_fini(&c);
	buf_fini(&file);
	return n_cases;
}

/* Calls fn for each case of each file; fails when there are fewer than 400. */
static void
wire_each(wire_case_fn fn)
{
	char path[512];
	size_t n_cases = 0;
	struct dirent *entry;

	snprintf(path, sizeof(path), "%s/corpus/http", test_source_dir());
	DIR *dir = opendir(path);
	if (dir == NULL) {
		FAIL("no %s", path);
		return;
	}
	for (entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
		if (!span_ends(span_cstr(entry->d_name), SPAN_LIT(".http")))
			continue;
		snprintf(path, sizeof(path), "%s/corpus/http/%s", test_source_dir(), entry->d_name);
		n_cases += wire_each_in_file(path, fn);
	}
	closedir(dir);
	CHECK(n_cases >= 400);
}

#endif
