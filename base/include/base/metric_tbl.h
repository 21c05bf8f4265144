/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* X(ID, prometheus name, kind, help): every counter and gauge of the process. Includers define
 * X. */
#include <stddef.h> /* so that the file compiles alone */

#ifdef X
X(METRIC_REQUESTS, "nomos_requests_total", COUNTER, "HTTP requests answered")
X(METRIC_REQUESTS_REFUSED, "nomos_requests_refused_total", COUNTER,
	"requests refused before a decision")
X(METRIC_AUTH_FAILED, "nomos_auth_failures_total", COUNTER, "requests with no valid credential")
X(METRIC_AUTH_LIMITED, "nomos_auth_limited_total", COUNTER,
	"failed authentications answered with 429")
X(METRIC_NONCES, "nomos_nonces", GAUGE, "nonces of request signatures in memory")
X(METRIC_NONCES_REFUSED, "nomos_nonces_refused_total", COUNTER,
	"good signatures that were refused for their timestamp or nonce")
X(METRIC_TOKENS_VERIFIED, "nomos_tokens_verified_total", COUNTER,
	"signed tokens that were accepted")
X(METRIC_TOKENS_REFUSED, "nomos_tokens_refused_total", COUNTER, "signed tokens that were refused")
X(METRIC_KEY_FETCHES, "nomos_token_key_fetches_total", COUNTER, "fetches of an issuer's keys")
X(METRIC_KEY_FETCHES_FAILED, "nomos_token_key_fetch_failures_total", COUNTER,
	"fetches of an issuer's keys that failed")
X(METRIC_TOKEN_KEYS, "nomos_token_keys", GAUGE, "keys of issuers that tokens are verified with")
X(METRIC_TOKEN_KEYS_FETCHED, "nomos_token_keys_fetched_timestamp_seconds", GAUGE,
	"when keys were last fetched")
X(METRIC_RATE_LIMITED, "nomos_rate_limited_total", COUNTER,
	"requests over a rate or the concurrency limit")
X(METRIC_SHED, "nomos_requests_shed_total", COUNTER, "requests turned away under load")
X(METRIC_MEDIA_TYPE, "nomos_unsupported_media_type_total", COUNTER,
	"requests with a wrong Content-Type")
X(METRIC_REPLAYS, "nomos_idempotency_replays_total", COUNTER,
	"answers repeated for an Idempotency-Key")
X(METRIC_REPORTS, "nomos_reports_total", COUNTER, "outcomes that callers reported")
X(METRIC_UNREPORTED, "nomos_unreported_total", COUNTER,
	"authorised actions whose outcome nobody reported in time")
X(METRIC_CONNECTIONS, "nomos_connections", GAUGE, "open client connections")
X(METRIC_CONNECTIONS_EVICTED, "nomos_connections_evicted_total", COUNTER,
	"connections closed for new ones at the cap")
X(METRIC_CONNECTIONS_REFUSED, "nomos_connections_refused_total", COUNTER,
	"connections closed for the cap per address")
X(METRIC_CONNECTIONS_IDLE_CLOSED, "nomos_connections_idle_closed_total", COUNTER,
	"connections closed after the idle time")
X(METRIC_ACCEPT_PAUSES, "nomos_accept_pauses_total", COUNTER,
	"pauses of accepting because descriptors were out")
X(METRIC_REPLIES_CUT, "nomos_replies_cut_total", COUNTER,
	"connections closed because the client did not take its reply")
X(METRIC_TLS_HANDSHAKES, "nomos_tls_handshakes_total", COUNTER, "TLS handshakes that ended well")
X(METRIC_TLS_RESUMED, "nomos_tls_resumed_total", COUNTER,
	"TLS handshakes that went on with an earlier session")
X(METRIC_TLS_FAILED, "nomos_tls_handshakes_failed_total", COUNTER,
	"TLS handshakes that failed or took too long")
X(METRIC_TLS_RELOADS, "nomos_tls_reloads_total", COUNTER, "TLS certificates read anew")
X(METRIC_TLS_RELOADS_FAILED, "nomos_tls_reloads_failed_total", COUNTER,
	"TLS certificates that were refused when they were read anew")
X(METRIC_TLS_END, "nomos_tls_certificate_end_seconds", GAUGE,
	"when the first TLS certificate in use ends, in seconds since 1970")
X(METRIC_TLS_OCSP_END, "nomos_tls_ocsp_end_seconds", GAUGE,
	"when the first OCSP response sent along ends, in seconds since 1970; 0 without any")
X(METRIC_TLS_CRL_END, "nomos_tls_crl_end_seconds", GAUGE,
	"when the first list of revoked client certificates ends, in seconds since 1970; 0 without "
	"any")
X(METRIC_STREAMS, "nomos_streams", GAUGE, "replies that are written piece by piece, open now")
X(METRIC_REQUESTS_HELD, "nomos_requests_held", GAUGE, "requests that wait for a person now")
X(METRIC_EXPORTS, "nomos_exports", GAUGE, "exports of records that are being read now")
X(METRIC_IN_FLIGHT, "nomos_actions_in_flight", GAUGE, "authenticated actions being worked on")
X(METRIC_LEDGER_RECORDS, "nomos_ledger_records_total", COUNTER, "records committed")
X(METRIC_LEDGER_COMMITS, "nomos_ledger_commits_total", COUNTER, "group commits")
X(METRIC_LEDGER_FAILURES, "nomos_ledger_failures_total", COUNTER, "group commits that failed")
X(METRIC_LEDGER_QUEUE, "nomos_ledger_queue", GAUGE, "entries waiting for the ledger")
X(METRIC_INDEX_LAG, "nomos_search_index_lag", GAUGE, "records the search index does not know yet")
X(METRIC_INDEX_REBUILDS, "nomos_search_index_rebuilds_total", COUNTER,
	"times the search index was made anew")
X(METRIC_ARCHIVED, "nomos_ledger_archived_records_total", COUNTER, "records moved into archives")
X(METRIC_SINK_FAILURES, "nomos_sink_failures_total", COUNTER, "deliveries to a sink that failed")
X(METRIC_SINK_DEAD_LETTERS, "nomos_sink_dead_letters_total", COUNTER,
	"records that a sink refused for good")
X(METRIC_NOTICES, "nomos_approval_notices_total", COUNTER,
	"notices of approvals that a receiver took")
X(METRIC_NOTICES_LOST, "nomos_approval_notices_lost_total", COUNTER,
	"notices of approvals that were given up")
X(METRIC_UNKNOWN_OUTCOMES, "nomos_unknown_outcomes_total", COUNTER,
	"intents marked unknown after a crash")
X(METRIC_TELEMETRY_SENT, "nomos_telemetry_sent_total", COUNTER,
	"traced requests that the collector or the stream took")
X(METRIC_TELEMETRY_DROPPED, "nomos_telemetry_dropped_total", COUNTER,
	"traced requests that were dropped: no room, refused, too late")
X(METRIC_TELEMETRY_FAILURES, "nomos_telemetry_failures_total", COUNTER,
	"deliveries to the collector that failed")
X(METRIC_LOG_DROPPED, "nomos_log_lines_dropped_total", COUNTER, "log lines that were dropped")
X(METRIC_RELOADS, "nomos_reloads_total", COUNTER, "reloads that took effect")
X(METRIC_RELOADS_FAILED, "nomos_reloads_failed_total", COUNTER, "reloads that were refused")
X(METRIC_RATE_BUCKETS, "nomos_rate_buckets", GAUGE, "rate-limit buckets in memory")
#endif
