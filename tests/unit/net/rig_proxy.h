/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* A rig that wants PROXY headers, texts of such, and what tests of them ask, in clear and before TLS. Test programs only. */
#ifndef TESTS_UNIT_NET_RIG_PROXY_H
#define TESTS_UNIT_NET_RIG_PROXY_H

#include "rig.h"

#include "base/metric.h"
#include "net/address.h"
#include "net/peer.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define V1 "PROXY TCP4 192.0.2.7 192.0.2.1 51234 443\r\n"
#define V1_OTHER "PROXY TCP4 192.0.2.8 192.0.2.1 51234 443\r\n"
#define V2 "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x09\xc0\0\2\1\x11\x22\x33\x44"
#define V2_LOCAL "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

/* "client by proxy". */
UNUSED static void
rig_say_peer(struct http_request *req, void *arg)
{
	const struct rig *r = arg;
	const struct net_peer *peer = http_request_view_peer(req);
	char text[64];

	CHECK(peer->is_tls == (r->tls != NULL));
	CHECK_SPAN(peer->address, http_request_get_peer(req));
	int n = snprintf(
		text, sizeof(text), "%.*s by %.*s", SPAN_ARG(peer->address), SPAN_ARG(peer->proxy));
	http_request_reply(req, 200, NULL, 0, span_of(text, (size_t)n));
}

/* Options of a rig not started yet. network: of the proxies that are believed; NULL: none is. */
UNUSED static void
rig_want_proxy(struct rig *r, struct trusted_proxies *trusted, const char *network)
{
	struct errinfo ei;

	rig_options(r);
	*trusted = (struct trusted_proxies){.n = 0};
	if (network != NULL)
		CHECK_INT(trusted_proxies_add(trusted, span_cstr(network), &ei), OK);
	r->options.trusted = trusted;
	r->listen.proxy_protocol = true;
	r->handler = rig_say_peer;
}

UNUSED static void
rig_check_answer(struct rig *r, struct rig_client *c, const char *want)
{
	struct rig_reply reply;

	if (!rig_wait_reply(r, c, false, &reply)) {
		FAIL("no answer, not \"%s\"", want);
		return;
	}
	CHECK_SPAN(reply.body, want);
}

/* The bytes have the connection closed without a word, and counted. Closes the client. */
UNUSED static void
rig_check_refused(struct rig *r, struct rig_client *c, struct span bytes)
{
	int64_t before = metric_get(METRIC_CONNECTIONS_REFUSED);

	rig_send(r, c, bytes);
	CHECK(rig_wait_eof(r, c));
	CHECK_INT(c->in.n, 0);
	CHECK_INT(metric_get(METRIC_CONNECTIONS_REFUSED), before + 1);
	rig_close(c);
}

#endif
