/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request presents of its caller: header lines as they came, and what of the request line signatures cover. Judges
 * nothing. Worker's thread.
 */
#include "routes.h"

#include "net/peer.h"

/* The path with its query as on the request line; of an absolute target, what is behind the authority. */
static struct span
find_signed_target(const struct http_request *http)
{
	struct span target = http_request_get_target(http);
	struct span scheme_end = SPAN_LIT("://");

	if (target.n == 0 || target.p[0] == '/')
		return target;
	size_t n = span_find(target, ':');
	if (!span_starts(span_from(target, n), scheme_end))
		return target;
	struct span rest = span_from(target, n + scheme_end.n);
	return span_from(rest, span_find(rest, '/'));
}

struct req_credentials
exchange_get_credentials(const struct http_request *http)
{
	return (struct req_credentials){
		.authorization = http_request_find_header(http, SPAN_LIT("Authorization")),
		.service_id = http_request_find_header(http, SPAN_LIT("X-Nomos-Service-Id")),
		.service_signature =
			http_request_find_header(http, SPAN_LIT("X-Nomos-Service-Signature")),
		.agent_id = http_request_find_header(http, SPAN_LIT("X-Nomos-Agent-Id")),
		.agent_signature =
			http_request_find_header(http, SPAN_LIT("X-Nomos-Agent-Signature")),
		.method = span_cstr(http_method_text(http_request_get_method(http))),
		.target = find_signed_target(http),
		.timestamp = http_request_find_header(http, SPAN_LIT("X-Nomos-Timestamp")),
		.nonce = http_request_find_header(http, SPAN_LIT("X-Nomos-Nonce")),
		.idempotency_key = http_request_find_header(http, SPAN_LIT("Idempotency-Key")),
		.peer = http_request_view_peer(http),
		.client_address = http_request_find_client(http),
	};
}
