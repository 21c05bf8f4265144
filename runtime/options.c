/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The tables of `gateway`, `ledger` and `audit`, their checks, and what they come to. Start-up and reload; blocking calls none. */
#include "runtime/options.h"

#include "base/clock.h"
#include "config/load.h"
#include "net/listener.h"

static void
check_listen(void *options, struct config_scope *scope)
{
	const struct gateway_section *g = options;
	struct listener_addr addr;
	struct errinfo ei;

	if (listener_parse(g->listen, &addr, &ei) != OK)
		config_fail(scope, "listen", "%s", ei.msg);
}

static const config_check_fn gateway_checks[] = {check_listen, NULL};

CONFIG_OBJECT(gateway_section, GATEWAY_ROWS, .prose = "The listener and its limits.",
	.checks = gateway_checks);
CONFIG_OBJECT(ledger_section, LEDGER_ROWS, .prose = "Where the evidence is kept.");
CONFIG_OBJECT(audit_webhook_section, AUDIT_WEBHOOK_ROWS, .prose = "Delivery of the webhook sink.");
CONFIG_OBJECT(audit_section, AUDIT_ROWS, .prose = "Who receives the evidence.");

/* What a client may hold up the end with: half of the grace, but time enough for a short request. */
#define DRAIN_NS_MIN (2 * NS_PER_SEC)

void
gateway_section_build(const struct gateway_section *gateway, struct http_server_options *out)
{
	http_server_options_init(out);
	out->max_headers_bytes = (size_t)gateway->max_header_bytes;
	out->max_headers = (size_t)gateway->max_headers;
	out->max_body_bytes = (size_t)gateway->max_body_bytes;
	out->header_deadline_ns = gateway->header_timeout_seconds * NS_PER_SEC;
	out->body_deadline_ns = gateway->body_timeout_seconds * NS_PER_SEC;
	out->idle_ns = gateway->idle_timeout_seconds * NS_PER_SEC;
	out->write_stall_ns = gateway->write_timeout_seconds * NS_PER_SEC;
	out->drain_ns = gateway->shutdown_grace_seconds * NS_PER_SEC / 2;
	if (out->drain_ns < DRAIN_NS_MIN)
		out->drain_ns = DRAIN_NS_MIN;
}
