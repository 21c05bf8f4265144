/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of the sections `gateway`, `ledger`, `audit`, `log` and `telemetry` (config/table.h says how rows work; nomos-http.md 3.2). The limits of
 * `gateway` are pipeline's and stand in the same section.
 */
#ifndef RUNTIME_OPTIONS_TBL_H
#define RUNTIME_OPTIONS_TBL_H

#include "net/address.h"
#include "outbound/telemetry.h"
#include "pipeline/options_tbl.h"

#define GATEWAY_TLS_PAIRS_MAX (TLS_PAIRS_MAX - 1)

/* clang-format off */
#define TLS_PAIR_ROWS(ROW, T)                                                                      \
	ROW(T, PATH, cert_file, .flags = CONFIG_REQUIRED,                                              \
		.prose = "PEM: the certificate for the names in it, then its chain.")                      \
	ROW(T, PATH, key_file, .flags = CONFIG_REQUIRED, .prose = "PEM: its private key.")             \
	ROW(T, PATH, ocsp_file, .prose = "DER: the CA's answer about it, sent along; none when not set.")

#define GATEWAY_TLS_ROWS(ROW, T)                                                                   \
	ROW(T, BOOL, enabled, .env = CONFIG_ENV,                                                       \
		.prose = "Speak TLS on every TCP listener that does not say otherwise.")                   \
	ROW(T, PATH, cert_file, .env = CONFIG_ENV,                                                     \
		.prose = "PEM: the certificate, then its chain. Read anew when the file changes, as all files here.") \
	ROW(T, PATH, key_file, .env = CONFIG_ENV, .prose = "PEM: its private key, without a passphrase.") \
	ROW(T, PATH, ocsp_file, .env = CONFIG_ENV,                                                     \
		.prose = "DER: the CA's answer about it, sent along; none when not set.")                  \
	ROW(T, LIST(tls_pair_section), certificates, .max = GATEWAY_TLS_PAIRS_MAX,                     \
		.prose = "More certificates, each for clients that ask for a name in it; others get the one of cert_file.") \
	ROW(T, PATH, client_ca_file, .env = CONFIG_ENV,                                                \
		.prose = "PEM: CAs of client certificates. A client may show one then; it is refused when it is not good.") \
	ROW(T, PATH, client_crl_file, .env = CONFIG_ENV,                                               \
		.prose = "PEM: lists of revoked client certificates (CRL), one of each of those CAs; out of its time none is taken. None is asked when not set.") \
	ROW(T, BOOL, require_mtls, .env = CONFIG_ENV, .prose = "Every client has to show a certificate.") \
	ROW(T, ENUM(gateway_tls_version), min_version, .words = "1.2|1.3", .env = CONFIG_ENV,          \
		.prose = "The oldest version that is spoken.")                                             \
	ROW(T, INT, ticket_lifetime_seconds, .def = "3600", .min = 0, .max = 86400, .unit = "seconds", \
		.env = CONFIG_ENV,                                                                         \
		.prose = "How long a session may be resumed; its keys rotate as often. 0, and with client certificates: never.") \
	ROW(T, INT, look_ms, .def = "1000", .min = 10, .max = 3600000, .unit = "ms", .env = CONFIG_ENV, \
		.prose = "How often to look whether the files have changed.")

#define LISTENER_ROWS(ROW, T)                                                                      \
	ROW(T, STRING, name, .max = 64, .flags = CONFIG_REQUIRED,                                      \
		.prose = "Its name in messages, and of the socket that systemd gives for it.")             \
	ROW(T, STRING, listen, .max = 128, .flags = CONFIG_REQUIRED,                                   \
		.prose = "As gateway.listen: HOST:PORT, unix:/PATH, systemd or systemd:NAME.")             \
	ROW(T, STRINGS, roles, .words = "api|ui|metrics|admin|health",                                 \
		.prose = "What is answered there, everything else with 404; all when not set.")            \
	ROW(T, BOOL, proxy_protocol,                                                                   \
		.prose = "Connections begin with a PROXY header (version 1 or 2) of one of trusted_proxies, in clear before TLS, or are closed.") \
	ROW(T, ENUM(listener_tls), tls, .words = "auto|on|off",                                        \
		.prose = "Whether TLS is spoken there, with gateway.tls; auto: where gateway.tls.enabled is set, on TCP.") \
	ROW(T, STRING, mode, .max = 5,                                                                 \
		.prose = "Bits of a unix socket's file, in octal; 0600 when not set.")                     \
	ROW(T, STRING, owner, .max = 64,                                                               \
		.prose = "Owner of a unix socket's file, name or number; who starts the gateway when not set. Takes root, or CAP_CHOWN.") \
	ROW(T, STRING, group, .max = 64, .prose = "Group of a unix socket's file, name or number.")

#define GATEWAY_ROWS(ROW, T)                                                                       \
	ROW(T, STRING, listen, .def = ":8080", .min = 1, .max = 128, .env = CONFIG_ENV,                 \
		.flags = CONFIG_REQUIRED, .prose = "Address and port: 127.0.0.1:8080, :8080, [::1]:0; or unix:/PATH, or systemd for a socket that systemd gives.") \
	ROW(T, LIST(listener_section), listeners, .max = HTTP_SERVER_LISTENERS_MAX,                    \
		.prose = "Several listeners in place of gateway.listen.")                                  \
	ROW(T, OBJECT(gateway_tls_section), tls, .prose = "TLS of the listeners.")                     \
	ROW(T, ENUM(gateway_transport), transport, .words = "http", .env = CONFIG_ENV,                 \
		.prose = "The protocol of the listener; http is the only one.")                            \
	ROW(T, INT, workers, .def = "0", .min = 0, .max = 256, .unit = "threads", .env = CONFIG_ENV,   \
		.prose = "Loops that serve requests; 0 is one per processor.")                             \
	ROW(T, INT, shutdown_delay_seconds, .def = "0", .min = 0, .max = 3600, .unit = "seconds",      \
		.env = CONFIG_ENV,                                                                         \
		.prose = "How long to report draining while still accepting, for load balancers.")         \
	ROW(T, INT, shutdown_grace_seconds, .def = "10", .min = 1, .max = 3600, .unit = "seconds",     \
		.env = CONFIG_ENV, .prose = "How long accepted requests may take to finish.")              \
	ROW(T, INT, max_connections, .def = "10000", .min = 1, .max = 1000000, .unit = "connections",  \
		.env = CONFIG_ENV, .prose = "Client connections at a time, as far as open files allow; behind it the one that waits longest gives way.") \
	ROW(T, INT, max_connections_per_address, .def = "0", .min = 0, .max = 1000000,                 \
		.unit = "connections", .env = CONFIG_ENV,                                                  \
		.prose = "Connections of one client address (IPv6: one /64); 0 is no limit.")              \
	ROW(T, STRINGS, trusted_proxies, .max = TRUSTED_PROXIES_MAX, .env = CONFIG_ENV,                                 \
		.prose = "Addresses and networks (10.0.0.0/8) of proxies, unix: for the peers of unix sockets, names in their client certificates (spiffe://DOMAIN/PATH, dns:NAME). Only what they say of their client is believed (Forwarded, X-Forwarded-For; PROXY protocol not by certificate), and the limit per address does not count addresses here.") \
	ROW(T, INT, max_requests_per_connection, .def = "10000", .min = 0, .max = 1000000000,          \
		.unit = "requests", .env = CONFIG_ENV,                                                     \
		.prose = "Requests of one connection, the last is answered with close; 0 is no limit.")    \
	ROW(T, INT, max_request_line_bytes, .def = "8192", .min = 256, .max = 1048576,                 \
		.unit = "bytes", .env = CONFIG_ENV, .prose = "Request line alone; over it 431.")           \
	ROW(T, INT, max_header_bytes, .def = "16384", .min = 1024, .max = 1048576, .unit = "bytes",    \
		.env = CONFIG_ENV, .prose = "Request line and header lines together; over it 431.")        \
	ROW(T, INT, max_headers, .def = "100", .min = 8, .max = 1000, .unit = "lines",                 \
		.env = CONFIG_ENV, .prose = "Header lines of a request; over it 431.")                     \
	ROW(T, INT, max_body_bytes, .def = "65536", .min = 1024, .max = 65536, .unit = "bytes",        \
		.env = CONFIG_ENV, .prose = "Body of a request; over it 413.")                             \
	ROW(T, INT, header_timeout_seconds, .def = "10", .min = 1, .max = 3600, .unit = "seconds",     \
		.env = CONFIG_ENV, .prose = "From the first byte of a request to the end of its headers.") \
	ROW(T, INT, body_timeout_seconds, .def = "30", .min = 1, .max = 3600, .unit = "seconds",       \
		.env = CONFIG_ENV, .prose = "From the end of the headers to the end of the body.")         \
	ROW(T, INT, idle_timeout_seconds, .def = "75", .min = 1, .max = 86400, .unit = "seconds",      \
		.env = CONFIG_ENV, .prose = "How long a connection may wait between two requests.")        \
	ROW(T, INT, write_timeout_seconds, .def = "30", .min = 1, .max = 3600, .unit = "seconds",      \
		.env = CONFIG_ENV, .prose = "How long a client may take nothing of a reply.")              \
	ROW(T, INT, min_bytes_per_second, .def = "256", .min = 0, .max = 1000000,                      \
		.unit = "bytes per second", .env = CONFIG_ENV,                                             \
		.prose = "Average a client has to send of headers and body and take of a reply; 0 is no limit.") \
	ROW(T, INT, rate_grace_seconds, .def = "5", .min = 0, .max = 3600, .unit = "seconds",          \
		.env = CONFIG_ENV, .prose = "How long the average is not asked for at the beginning of each.") \
	GATEWAY_LIMIT_ROWS(ROW, T)

#define LEDGER_ROWS(ROW, T)                                                                        \
	ROW(T, PATH, path, .env = CONFIG_ENV,                                                          \
		.prose = "The ledger's SQLite file; nomos-ledger.db beside the configuration when not set.") \
	ROW(T, INT, queue_max, .def = "8192", .min = 1, .max = 1000000, .unit = "entries",             \
		.prose = "Entries that may wait for a commit; over it 503 with Retry-After.")

#define AUDIT_WEBHOOK_ROWS(ROW, T)                                                                 \
	ROW(T, SECRET, secret, .env = CONFIG_ENV,                                                      \
		.prose = "Key of the HMAC-SHA256 in X-Nomos-Signature; unsigned when not set.")            \
	ROW(T, INT, timeout_ms, .def = "10000", .min = 100, .max = 300000, .unit = "ms",               \
		.prose = "For one delivery; it is tried again for as long as it takes.")                   \
	ROW(T, PATH, ca_file, .prose = "CA certificates (PEM) of the receiver; the system's when not set.") \
	ROW(T, PATH, cert_file, .prose = "Client certificate (PEM) for a receiver that asks for one; none when not set.") \
	ROW(T, PATH, key_file, .prose = "Its private key (PEM), without a passphrase; in cert_file when not set.") \
	ROW(T, INT, batch_max, .def = "1", .min = 1, .max = 256, .unit = "records", .env = CONFIG_ENV, \
		.prose = "Records of one POST; more than 1 sends lines of JSON (application/x-ndjson).")   \
	ROW(T, BOOL, gzip, .env = CONFIG_ENV,                                                          \
		.prose = "Packs the body (Content-Encoding: gzip); the signature is over the packed bytes.") \
	ROW(T, INT, retry_max_ms, .def = "30000", .min = 10, .max = 3600000, .unit = "ms",             \
		.prose = "The longest pause between two tries; they are spread at random below it.")

#define AUDIT_FILE_ROWS(ROW, T)                                                                    \
	ROW(T, INT, max_bytes, .def = "104857600", .min = 0, .max = 1000000000000, .unit = "bytes",    \
		.env = CONFIG_ENV,                                                                         \
		.prose = "A file that would grow beyond this becomes PATH.1 and a new one begins; 0: not by size.") \
	ROW(T, INT, max_age_hours, .def = "0", .min = 0, .max = 87600, .unit = "hours",                \
		.env = CONFIG_ENV, .prose = "The same for a file whose first record is so old; 0: not by age.") \
	ROW(T, INT, keep, .def = "10", .min = 1, .max = 1000, .unit = "files", .env = CONFIG_ENV,      \
		.prose = "Rotated files, PATH.1 being the newest; the oldest is removed.")

#define AUDIT_RETENTION_ROWS(ROW, T)                                                               \
	ROW(T, INT, days, .def = "0", .min = 0, .max = 36500, .unit = "days", .env = CONFIG_ENV,       \
		.prose = "Records older than this go into the archive; 0: none by age.")                   \
	ROW(T, INT, records, .def = "0", .min = 0, .max = 1000000000000, .unit = "records",            \
		.env = CONFIG_ENV,                                                                         \
		.prose = "Records that are not among the newest so many go into the archive; 0: none by number.") \
	ROW(T, PATH, archive, .env = CONFIG_ENV,                                                       \
		.prose = "Folder of the archives, one verified export per segment; LEDGER.archive when not set.") \
	ROW(T, INT, segment_records, .def = "100000", .min = 1, .max = 10000000, .unit = "records",    \
		.prose = "An archive holds at least so many records and ends at a signed checkpoint.")     \
	ROW(T, INT, look_ms, .def = "60000", .min = 10, .max = 86400000, .unit = "ms",                 \
		.prose = "How often to look whether a segment is old enough.")

#define AUDIT_ROWS(ROW, T)                                                                         \
	ROW(T, STRING, sink, .def = "stdout", .max = 4096, .env = CONFIG_ENV,                          \
		.prose = "Comma list of stdout, stderr, sqlite:PATH (the ledger itself), file:PATH, webhook:URL; empty: only the ledger.") \
	ROW(T, STRING, required, .def = "", .max = 1024, .env = CONFIG_ENV,                            \
		.prose = "Who must have taken a record before the answer goes out, beside the ledger: any, all, or names of sinks; empty: the ledger, in stateless mode any sink.") \
	ROW(T, ENUM(audit_from), from, .words = "head|start", .env = CONFIG_ENV,                       \
		.prose = "Where a sink begins that this ledger has not fed before.")                       \
	ROW(T, INT, required_deadline_ms, .def = "2000", .min = 10, .max = 60000, .unit = "ms",        \
		.env = CONFIG_ENV, .prose = "Within which required sinks must take a record; else 503.")   \
	ROW(T, PATH, checkpoint_key_path, .env = CONFIG_ENV,                                           \
		.prose = "Ed25519 key that signs checkpoints, made at first start; LEDGER.key when not set.") \
	ROW(T, INT, checkpoint_every, .def = "1024", .min = 1, .max = 1000000, .unit = "records",      \
		.env = CONFIG_ENV, .prose = "Records between two signed checkpoints.")                     \
	ROW(T, BOOL, index, .def = "true", .env = CONFIG_ENV,                                          \
		.prose = "Keep a search index beside the ledger (LEDGER.idx); it is derived and may be removed.") \
	ROW(T, OBJECT(audit_retention_section), retention,                                             \
		.prose = "What leaves the ledger for the archive; without days and records all stays.")    \
	ROW(T, OBJECT(audit_webhook_section), webhook, .prose = "Delivery of the webhook sinks.")      \
	ROW(T, OBJECT(audit_file_section), file, .prose = "Rotation of the file sinks.")

#define LOG_ROWS(ROW, T)                                                                           \
	ROW(T, ENUM(log_level), level, .words = "error|warn|info|debug", .def = "info",                \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, .prose = "The least important lines that are written to stderr.") \
	ROW(T, MAP, levels, .max = 32, .flags = CONFIG_RELOAD,                                         \
		.prose = "Levels of single modules: audit, base, cli, config, gateway, net, outbound, pipeline, policy, runtime.")

#define TELEMETRY_ROWS(ROW, T)                                                                     \
	ROW(T, BOOL, enabled, .env = CONFIG_ENV,                                                       \
		.prose = "Tell a collector, or whoever reads the lines, of requests and their steps.")     \
	ROW(T, STRING, sink, .def = "stdout", .max = 4000, .env = CONFIG_ENV,                          \
		.prose = "stdout, stderr, or otlp:BASE_URL: OTLP/HTTP in JSON, to BASE_URL/v1/traces and /v1/metrics.") \
	ROW(T, MAP, headers, .max = TELEMETRY_HEADERS_MAX, .flags = CONFIG_SECRET_VALUES,              \
		.prose = "Headers for the collector, such as Authorization.")                              \
	ROW(T, PATH, ca_file, .prose = "CA certificates (PEM) of the collector; the system's when not set.") \
	ROW(T, PATH, cert_file, .prose = "Client certificate (PEM) for a collector that asks for one; none when not set.") \
	ROW(T, PATH, key_file, .prose = "Its private key (PEM), without a passphrase; in cert_file when not set.") \
	ROW(T, INT, timeout_ms, .def = "2000", .min = 100, .max = 60000, .unit = "ms",                 \
		.prose = "For one call of the collector; it is tried again where OTLP says so.")           \
	ROW(T, BOOL, gzip, .env = CONFIG_ENV, .prose = "Packs what goes to the collector.")            \
	ROW(T, INT, interval_seconds, .def = "15", .min = 1, .max = 3600, .unit = "seconds",           \
		.env = CONFIG_ENV, .prose = "How often the collector gets all metrics.")                   \
	ROW(T, INT, sample_one_in, .def = "1", .min = 1, .max = 1000000000, .unit = "requests",        \
		.env = CONFIG_ENV,                                                                         \
		.prose = "Of so many requests one is traced, where the caller has not decided it (traceparent); the counters have all.") \
	ROW(T, INT, queue_max, .def = "2048", .min = 1, .max = 100000, .unit = "requests",             \
		.env = CONFIG_ENV,                                                                         \
		.prose = "Traced requests under way or not sent yet, about 2.5 KB each; more are dropped and counted. Those that are held for an approval are under way.")

/* The sections, for the program's root table. */
#define RUNTIME_SECTIONS(ROW, T)                                                                   \
	ROW(T, OBJECT(gateway_section), gateway, .prose = "The listener and its limits.")              \
	ROW(T, OBJECT(ledger_section), ledger, .prose = "Where the evidence is kept.")                 \
	ROW(T, OBJECT(audit_section), audit, .prose = "Who receives the evidence.")                    \
	ROW(T, OBJECT(log_section), log, .prose = "What the process says on stderr.")                  \
	ROW(T, OBJECT(telemetry_section), telemetry, .prose = "Traces and metrics for a collector.")
/* clang-format on */

#endif
