/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process tells of itself to a collector (OTLP/HTTP, JSON) or as lines on stdout or stderr. It is collected without a
 * lock, without memory and without waiting: what finds no room is dropped and counted (METRIC_TELEMETRY_*). A thread of its
 * own sends it. No fault of it changes anything else.
 *
 *     t = telemetry_begin(telemetry, parent);   when a request has come; NULL: nothing is told of this one
 *     ... trace_add_span, trace_set_text ...
 *     telemetry_end(telemetry, &t);             after its answer
 */
#ifndef OUTBOUND_TELEMETRY_H
#define OUTBOUND_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/metric_writer.h"
#include "base/span.h"
#include "net/http.h"

struct redactor;
struct telemetry;
struct trace;
struct trace_parent;

enum telemetry_sink { TELEMETRY_STDOUT = 0, TELEMETRY_STDERR, TELEMETRY_OTLP };

#define TELEMETRY_HEADERS_MAX 16

struct telemetry_options {
	enum telemetry_sink sink;
	struct span base_url; /* TELEMETRY_OTLP: before /v1/traces and /v1/metrics; never logged */
	const struct http_header *headers; /* sent along; their values are secrets */
	size_t n_headers;                  /* at most TELEMETRY_HEADERS_MAX */
	const char *ca_file;               /* PEM; NULL: the system's */
	const char *cert_file;             /* PEM, for a collector that asks for one; NULL: none */
	const char *key_file;              /* its key; NULL: in cert_file */
	int64_t timeout_ns;                /* for one call */
	bool gzip;
	size_t queue_max;       /* requests that may be under way or wait to be sent */
	uint64_t sample_one_in; /* of requests whose caller has not decided; not 0 */
};

/* Copies the options and starts the thread. ERR_INVALID (URL), ERR_NOMEM, ERR_IO. */
MUSTCHECK enum err telemetry_new(
	const struct telemetry_options *o, struct telemetry **out, struct errinfo *ei);
/* Sends what waits, for TELEMETRY_FLUSH_NS at most, and stops. No trace may be under way. */
void telemetry_free(struct telemetry **t);
#define TELEMETRY_FLUSH_NS (INT64_C(2) * 1000 * 1000 * 1000)

/*
 * Any thread. parent is what the caller's traceparent says, or NULL: then this is the begin of a trace. The caller's own
 * decision whether to sample stands; where lines are written only the one to do so. NULL: not sampled, or no room.
 */
MUSTCHECK struct trace *telemetry_begin(struct telemetry *t, const struct trace_parent *parent);
/* The same for one that was turned away before anybody was known: it joins nothing, and half of the places are not for it. */
MUSTCHECK struct trace *telemetry_begin_refused(struct telemetry *t);
/* Any thread. Redacted before it. */
void telemetry_end(struct telemetry *t, struct trace **own_trace);

/*
 * The counters that only telemetry has (nomos-http.md 8), of every action whether it is sampled or not: nomos.decisions,
 * nomos.approvals, nomos.failures, nomos.retries. decision and result are static words of ours; decision is NULL when there was none. Any
 * thread.
 */
void telemetry_count_action(struct telemetry *t, const char *decision, const char *result);
/* nomos.rate_limits: what the rules said of one action. Any thread. */
struct telemetry_limit {
	const char *result; /* "allowed", "exceeded"; static */
	const char *scope;  /* static; NULL: none */
	struct span rule_id;
	struct span action_type;
	struct span principal;
};
void telemetry_count_limit(
	struct telemetry *t, const struct redactor *redactor, const struct telemetry_limit *limit);

/* Asks write for all families and hands them to the thread, in place of older ones that are not sent yet. Without a collector it does nothing. One thread
 * at a time. */
void telemetry_collect(
	struct telemetry *t, void (*write)(struct metric_writer *w, void *arg), void *arg);

#endif
