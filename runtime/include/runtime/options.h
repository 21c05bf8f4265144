/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The options of the process, made of the rows in options_tbl.h, and what follows of them: the server's and the ledger's
 * own option structs. The program's root struct holds the sections of RUNTIME_SECTIONS and PIPELINE_SECTIONS.
 */
#ifndef RUNTIME_OPTIONS_H
#define RUNTIME_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "audit/ledger_options.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/span.h"
#include "config/table.h"
#include "net/http_server.h"
#include "net/listener.h"
#include "net/tls.h"
#include "pipeline/options.h"
#include "runtime/options_tbl.h"

struct address_cap;
struct trusted_proxies;
struct arena;

enum gateway_transport { TRANSPORT_HTTP = 0 };
enum gateway_tls_version { GATEWAY_TLS_12 = 0, GATEWAY_TLS_13 };
enum listener_tls { LISTENER_TLS_AUTO = 0, LISTENER_TLS_ON, LISTENER_TLS_OFF };
enum audit_from { AUDIT_FROM_HEAD = 0, AUDIT_FROM_START };

struct tls_pair_section {
	TLS_PAIR_ROWS(CONFIG_MEMBER, tls_pair_section)
};

struct gateway_tls_section {
	GATEWAY_TLS_ROWS(CONFIG_MEMBER, gateway_tls_section)
};

struct listener_section {
	LISTENER_ROWS(CONFIG_MEMBER, listener_section)
};

struct gateway_section {
	GATEWAY_ROWS(CONFIG_MEMBER, gateway_section)
};

struct ledger_section {
	LEDGER_ROWS(CONFIG_MEMBER, ledger_section)
};

struct audit_webhook_section {
	AUDIT_WEBHOOK_ROWS(CONFIG_MEMBER, audit_webhook_section)
};

struct audit_file_section {
	AUDIT_FILE_ROWS(CONFIG_MEMBER, audit_file_section)
};

struct audit_retention_section {
	AUDIT_RETENTION_ROWS(CONFIG_MEMBER, audit_retention_section)
};

struct audit_section {
	AUDIT_ROWS(CONFIG_MEMBER, audit_section)
};

extern const struct config_object listener_section_config;
struct log_section {
	LOG_ROWS(CONFIG_MEMBER, log_section)
};

struct telemetry_section {
	TELEMETRY_ROWS(CONFIG_MEMBER, telemetry_section)
};

extern const struct config_object log_section_config;
extern const struct config_object telemetry_section_config;
extern const struct config_object tls_pair_section_config;
extern const struct config_object gateway_tls_section_config;
extern const struct config_object gateway_section_config;
extern const struct config_object ledger_section_config;
extern const struct config_object audit_webhook_section_config;
extern const struct config_object audit_file_section_config;
extern const struct config_object audit_retention_section_config;
extern const struct config_object audit_section_config;

#define LEDGER_DEFAULT_NAME "nomos-ledger.db"
#define AUDIT_SINKS_MAX 8

enum audit_sink_kind {
	AUDIT_SINK_STDOUT = 0,
	AUDIT_SINK_STDERR,
	AUDIT_SINK_FILE,
	AUDIT_SINK_WEBHOOK
};

/* What the sections `ledger` and `audit` come to. Spans borrow from the options' arena and are NUL-terminated. */
struct audit_plan {
	bool is_stateless;
	struct span ledger_path; /* empty when stateless */
	struct span key_path;    /* empty: beside the ledger */
	struct {
		enum audit_sink_kind kind;
		struct span url; /* webhook; of a file its path */
		bool is_required;
	} sinks[AUDIT_SINKS_MAX];
	size_t n_sinks;
	enum ledger_required required;
};

/* Sets the levels of the log. */
void log_section_apply(const struct log_section *log);

/* *out is NULL when it is not enabled. As telemetry_new. n_held_max: requests that may be held for an approval; 0: none. */
MUSTCHECK enum err telemetry_section_build(const struct telemetry_section *telemetry,
	int64_t n_held_max, struct telemetry **out, struct errinfo *ei);

/* The checks over `gateway`, `ledger` and `audit` that need more than one section, to be called from a check of the root object.
 * It sets ledger->path when it is not set. */
void runtime_check_options(struct ledger_section *ledger, struct audit_section *audit,
	bool is_stateless, struct config_scope *scope);
/* Reads audit.sink and audit.required. "unsupported audit sink", "no valid audit sinks configured",
 * "sqlite sink path is required", two ledgers, unknown names: ERR_INVALID. */
MUSTCHECK enum err audit_plan_parse(const struct ledger_section *ledger,
	const struct audit_section *audit, bool is_stateless, struct audit_plan *out,
	struct errinfo *ei);
/*
 * Makes the sinks, and those of the receivers of notices, and fills *out for ledger_open, which takes the sinks over. The arena holds the array and outlives the
 * ledger. On failure no sink is left.
 */
MUSTCHECK enum err audit_plan_build(const struct audit_plan *plan,
	const struct ledger_section *ledger, const struct audit_section *audit,
	const struct approvals_section *approvals, struct arena *a, struct ledger_options *out,
	struct errinfo *ei);

/* Reads the certificates of gateway.tls; *out is NULL when no listener speaks TLS. As tls_keeper_new, naming the key too. */
MUSTCHECK enum err gateway_section_build_tls(
	const struct gateway_section *gateway, struct tls_keeper **out, struct errinfo *ei);
/* The same for somebody who only looks: no gauge tells of it. */
MUSTCHECK enum err gateway_section_try_tls(
	const struct gateway_section *gateway, struct tls_context **out, struct errinfo *ei);

/* The server's limits out of the section. */
void gateway_section_build(const struct gateway_section *gateway, struct http_server_options *out);
/* ERR_PARSE. */
MUSTCHECK enum err gateway_section_build_trusted(
	const struct gateway_section *gateway, struct trusted_proxies *out, struct errinfo *ei);
/* *out is NULL when there is no limit per address. ERR_PARSE, ERR_NOMEM. */
MUSTCHECK enum err gateway_section_build_address_cap(
	const struct gateway_section *gateway, struct address_cap **out, struct errinfo *ei);

#define GATEWAY_URL_MAX 96 /* "http://[...]:65535" with its NUL, without a path */
/* The URL of path ("/action") as a client on this host reaches it, with a NUL. ERR_INVALID (port 0), ERR_TOO_LARGE. */
MUSTCHECK enum err gateway_section_build_url(const struct gateway_section *gateway,
	const char *path, char *out, size_t size, struct errinfo *ei);
/* Of a configuration in which no listener of TCP answers path: the unix socket that does; false when there is none either. */
bool gateway_section_find_unix(const struct gateway_section *gateway, const char *path,
	char out[LISTENER_PATH_MAX], bool *is_tls);

#endif
