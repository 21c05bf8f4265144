/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarded and X-Forwarded-For of any bytes: what comes of them is an address or unknown; and whatever a client has written, behind what
 * its proxy adds at the end it is that address or unknown.
 */
#include <string.h>

#include "base/must.h"
#include "net/forwarded.h"

#define LINE_MAX 8000
#define PEER "10.0.0.1"
#define CLIENT "192.0.2.7"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char line[LINE_MAX + 32];

static void
check(const struct http_header *headers, size_t n, const struct trusted_proxies *t,
	const char *only)
{
	struct span client = forwarded_find_client(headers, n, t, SPAN_LIT(PEER));
	struct address a;

	MUST(client.n == 0 || address_parse(client, &a));
	MUST(client.n == 0 || only == NULL || span_eq_cstr(client, only));
	(void)forwarded_is_https(headers, n);
}

static void
check_added(
	struct span before, struct span name, struct span added, const struct trusted_proxies *t)
{
	memcpy(line, before.p, before.n);
	memcpy(line + before.n, added.p, added.n);
	const struct http_header one = {name, span_of(line, before.n + added.n)};
	const struct http_header two[] = {{name, before}, {name, SPAN_LIT(CLIENT)}};

	check(&one, 1, t, CLIENT);
	if (added.n == sizeof(", " CLIENT) - 1)
		check(two, 2, t, CLIENT);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_of((const char *)data, size);
	struct trusted_proxies t = {.n = 0};

	if (size == 0 || size > LINE_MAX)
		return 0;
	MUST(trusted_proxies_add(&t, SPAN_LIT("10.0.0.0/8"), NULL) == OK);
	size_t cut = data[0] % size;
	const struct http_header both[] = {{SPAN_LIT("Forwarded"), span_of(all.p, cut)},
		{SPAN_LIT("X-Forwarded-For"), span_from(all, cut)},
		{SPAN_LIT("X-Forwarded-Proto"), span_from(all, cut)}};
	check(both, ARRAY_LEN(both), &t, NULL);
	check_added(all, SPAN_LIT("X-Forwarded-For"), SPAN_LIT(", " CLIENT), &t);
	check_added(all, SPAN_LIT("Forwarded"), SPAN_LIT(", for=" CLIENT), &t);
	return 0;
}
