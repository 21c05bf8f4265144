/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The tables of `gateway`, `ledger` and `audit`, their checks, and what they come to. Start-up and reload; blocking calls none. */
#include "runtime/options.h"

#include "base/clock.h"
#include "config/load.h"
#include "net/address.h"
#include "net/address_cap.h"
#include "net/listener.h"
#include "runtime/listener_options.h"

static void
check_listen(void *options, struct config_scope *scope)
{
	const struct gateway_section *g = options;
	struct runtime_listeners listeners;
	struct listener_addr addr;
	struct errinfo ei;

	if (listener_parse(g->listen, &addr, &ei) != OK)
		config_fail(scope, "listen", "%s", ei.msg);
	else if (runtime_listeners_build(g, &listeners, &ei) != OK)
		config_fail(scope, "listeners", "%s", ei.msg);
}

static void
check_proxies(void *options, struct config_scope *scope)
{
	const struct gateway_section *g = options;
	struct trusted_proxies trusted = {.n = 0};
	struct errinfo ei;

	for (size_t i = 0; i < g->trusted_proxies.n; i++) {
		if (trusted_proxies_add(&trusted, g->trusted_proxies.v[i], &ei) != OK)
			config_fail(scope, "trusted_proxies", "%s", ei.msg);
	}
	if (trusted.n_names > 0 && g->tls.client_ca_file.n == 0)
		config_fail(scope, "trusted_proxies",
			"names of certificates need client certificates: set "
			"gateway.tls.client_ca_file");
}

static void
check_levels(void *options, struct config_scope *scope)
{
	const struct log_section *l = options;

	for (size_t i = 0; i < l->levels.n; i++) {
		if (log_module_parse(l->levels.v[i].key) == LOG_MODULE__MAX)
			config_fail(scope, "levels", "\"%.*s\" is no module of the log",
				SPAN_ARG(l->levels.v[i].key));
		else if (log_level_parse(l->levels.v[i].value) > LOG_DEBUG)
			config_fail(scope, "levels",
				"the level of \"%.*s\" is one of error, warn, info, debug",
				SPAN_ARG(l->levels.v[i].key));
	}
}

void
log_section_apply(const struct log_section *log)
{
	log_set_level(log->level);
	for (size_t i = 0; i < log->levels.n; i++)
		log_set_module_level(log_module_parse(log->levels.v[i].key),
			log_level_parse(log->levels.v[i].value));
}

static const config_check_fn log_checks[] = {check_levels, NULL};

/* With the reference's words. */
static void
check_tls(void *options, struct config_scope *scope)
{
	const struct gateway_tls_section *t = options;

	if (t->enabled && (t->cert_file.n == 0 || t->key_file.n == 0))
		config_fail(scope, "cert_file",
			"gateway.tls.cert_file and gateway.tls.key_file are required when "
			"tls.enabled is true");
	if (t->enabled && t->require_mtls && t->client_ca_file.n == 0)
		config_fail(scope, "client_ca_file",
			"gateway.tls.client_ca_file is required when tls.require_mtls is true");
	if (t->client_crl_file.n > 0 && t->client_ca_file.n == 0)
		config_fail(scope, "client_crl_file",
			"gateway.tls.client_crl_file is about client certificates: set "
			"gateway.tls.client_ca_file");
	if (!t->enabled && (t->require_mtls || t->client_ca_file.n > 0))
		config_note(scope, CONFIG_WARN, "enabled",
			"client certificates are configured, but TLS is not enabled");
}

static const config_check_fn tls_checks[] = {check_tls, NULL};
static const config_check_fn gateway_checks[] = {check_listen, check_proxies, NULL};

CONFIG_OBJECT(tls_pair_section, TLS_PAIR_ROWS, .prose = "One certificate.");
CONFIG_OBJECT(gateway_tls_section, GATEWAY_TLS_ROWS, .prose = "TLS of the listeners.",
	.checks = tls_checks);
CONFIG_OBJECT(listener_section, LISTENER_ROWS, .prose = "One listener.");
CONFIG_OBJECT(gateway_section, GATEWAY_ROWS, .prose = "The listener and its limits.",
	.checks = gateway_checks);
CONFIG_OBJECT(
	log_section, LOG_ROWS, .prose = "What the process says on stderr.", .checks = log_checks);
CONFIG_OBJECT(ledger_section, LEDGER_ROWS, .prose = "Where the evidence is kept.");
CONFIG_OBJECT(audit_webhook_section, AUDIT_WEBHOOK_ROWS, .prose = "Delivery of the webhook sinks.");
CONFIG_OBJECT(audit_file_section, AUDIT_FILE_ROWS, .prose = "Rotation of the file sinks.");
CONFIG_OBJECT(audit_retention_section, AUDIT_RETENTION_ROWS,
	.prose = "What leaves the ledger for the archive.");
CONFIG_OBJECT(audit_section, AUDIT_ROWS, .prose = "Who receives the evidence.");

/* What a client may hold up the end with: half of the grace, but time enough for a short request. */
#define DRAIN_NS_MIN (2 * NS_PER_SEC)

void
gateway_section_build(const struct gateway_section *gateway, struct http_server_options *out)
{
	http_server_options_init(out);
	out->max_headers_bytes = (size_t)gateway->max_header_bytes;
	out->max_line_bytes = (size_t)gateway->max_request_line_bytes;
	out->max_headers = (size_t)gateway->max_headers;
	out->max_body_bytes = (size_t)gateway->max_body_bytes;
	out->header_deadline_ns = gateway->header_timeout_seconds * NS_PER_SEC;
	out->body_deadline_ns = gateway->body_timeout_seconds * NS_PER_SEC;
	out->idle_ns = gateway->idle_timeout_seconds * NS_PER_SEC;
	out->write_stall_ns = gateway->write_timeout_seconds * NS_PER_SEC;
	out->min_rate = (size_t)gateway->min_bytes_per_second;
	out->rate_grace_ns = gateway->rate_grace_seconds * NS_PER_SEC;
	out->max_requests_per_connection = (size_t)gateway->max_requests_per_connection;
	out->max_connections = (size_t)gateway->max_connections;
	out->drain_ns = gateway->shutdown_grace_seconds * NS_PER_SEC / 2;
	if (out->drain_ns < DRAIN_NS_MIN)
		out->drain_ns = DRAIN_NS_MIN;
}

enum err
gateway_section_build_trusted(
	const struct gateway_section *gateway, struct trusted_proxies *out, struct errinfo *ei)
{
	enum err rc = OK;

	*out = (struct trusted_proxies){.n = 0};
	for (size_t i = 0; i < gateway->trusted_proxies.n && rc == OK; i++)
		rc = trusted_proxies_add(out, gateway->trusted_proxies.v[i], ei);
	return rc;
}

enum err
gateway_section_build_address_cap(
	const struct gateway_section *gateway, struct address_cap **out, struct errinfo *ei)
{
	struct trusted_proxies trusted;

	*out = NULL;
	if (gateway->max_connections_per_address == 0)
		return OK;
	enum err rc = gateway_section_build_trusted(gateway, &trusted, ei);
	if (rc != OK)
		return rc;
	return address_cap_new(
		(size_t)gateway->max_connections_per_address, trusted.v, trusted.n, out, ei);
}
