/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Posting to a collector (OTLP/HTTP): one body at a time for each signal, tried again as the specification says (429, 502,
 * 503, 504, no answer), with back-off or after the time that the collector asks for; any other refusal is final. Blocking; the
 * exporter's thread, but for otlp_sender_stop.
 */
#ifndef OUTBOUND_OTLP_SENDER_H
#define OUTBOUND_OTLP_SENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/span.h"

struct otlp_sender;
struct telemetry_options;

enum otlp_path { OTLP_TRACES = 0, OTLP_METRICS, OTLP_PATH__MAX };

MUSTCHECK enum err otlp_sender_new(
	const struct telemetry_options *o, struct otlp_sender **out, struct errinfo *ei);
/* Counts what was not sent as dropped. */
void otlp_sender_free(struct otlp_sender **s);

/* Whether nothing of that signal waits, so that the next body may come. */
bool otlp_sender_is_free(const struct otlp_sender *s, enum otlp_path path);
/* Takes the text, replacing one that waits. n_items: what it counts as when it is sent or dropped. */
void otlp_sender_put(struct otlp_sender *s, enum otlp_path path, struct span text, size_t n_items);
/* Posts what is due. True when something was taken or given up, so that there is room again. */
bool otlp_sender_send(struct otlp_sender *s, int64_t now_ns);
/* From now on everything that waits is due at once, once. */
void otlp_sender_hurry(struct otlp_sender *s);
/* When the next try is due; INT64_MAX: nothing waits. */
int64_t otlp_sender_due_ns(const struct otlp_sender *s);
/* Any thread: a call that runs ends soon, later ones at once. */
void otlp_sender_stop(struct otlp_sender *s);

#endif
