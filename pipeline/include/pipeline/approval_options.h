/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* The section `approvals` (config/table.h says how rows work; decisions 10, 23, 26 to 29). */
#ifndef PIPELINE_APPROVAL_OPTIONS_H
#define PIPELINE_APPROVAL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "config/table.h"
#include "outbound/notice.h"

/* clang-format off */
#define APPROVAL_RELAY_ROWS(ROW, T) \
	ROW(T, SECRET, token, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "What the relay has to present; its route does not exist without one.") \
	ROW(T, STRING, principal, .max = 256, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Who the relay is; the name of the relay when not set.") \
	ROW(T, MAP, users, .flags = CONFIG_RELOAD, \
		.prose = "The relay's user ids and the principal of each; without any the relay itself decides.")

#define APPROVAL_RELAYS_ROWS(ROW, T) \
	ROW(T, OBJECT(approval_relay_section), generic, .prose = "POST /webhooks/approvals.") \
	ROW(T, OBJECT(approval_relay_section), slack, .prose = "POST /webhooks/slack/approvals.") \
	ROW(T, OBJECT(approval_relay_section), teams, .prose = "POST /webhooks/teams/approvals.")

#define APPROVAL_RECEIVERS_MAX 4
#define APPROVAL_NOTIFY_ROWS(ROW, T) \
	ROW(T, STRING, name, .min = 1, .max = 64, .flags = CONFIG_REQUIRED, \
		.prose = "Of the receiver, for the log and its place in the ledger.") \
	ROW(T, ENUM(notice_kind), kind, .words = "generic|slack|teams", \
		.prose = "What the message looks like: JSON of ours, a Slack or a Teams incoming webhook.") \
	ROW(T, SECRET, url, .flags = CONFIG_REQUIRED, \
		.prose = "Where it is posted; never shown, for chat systems put a token into it.") \
	ROW(T, SECRET, secret, \
		.prose = "Key of the HMAC-SHA256 in X-Nomos-Signature; unsigned when not set.") \
	ROW(T, STRING, page, .max = 512, \
		.prose = "The operator page as approvers reach it, e.g. https://nomos.example/ui/; named in the message.") \
	ROW(T, INT, timeout_ms, .def = "10000", .min = 100, .max = 300000, .unit = "ms", \
		.prose = "For one delivery; it is tried again until the approval has run out.") \
	ROW(T, PATH, ca_file, .prose = "CA certificates (PEM) of the receiver; the system's when not set.") \
	ROW(T, PATH, cert_file, .prose = "Client certificate (PEM) for a receiver that asks for one; none when not set.") \
	ROW(T, PATH, key_file, .prose = "Its private key (PEM), without a passphrase; in cert_file when not set.")

#define APPROVALS_ROWS(ROW, T) \
	ROW(T, BOOL, enabled, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Whether actions may wait for a person; rules that ask for one deny otherwise.") \
	ROW(T, INT, ttl_seconds, .def = "900", .min = 1, .max = 31536000, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "From asking to the end of an approval, used or not; a policy may say otherwise (approval_ttl_seconds).") \
	ROW(T, STRINGS, approver_principals, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Who may decide, beside the role approver; nobody without either.") \
	ROW(T, SECRET, webhook_token, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The same as relay.generic.token.") \
	ROW(T, SECRET, slack_token, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The same as relay.slack.token.") \
	ROW(T, SECRET, teams_token, .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "The same as relay.teams.token.") \
	ROW(T, OBJECT(approval_relays_section), relay, \
		.prose = "Programs that bring decisions from elsewhere.") \
	ROW(T, INT, max_pending, .def = "1000", .min = 1, .max = 100000, .unit = "approvals", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Approvals that may be pending; over it DENY approvals_limit.") \
	ROW(T, INT, max_pending_per_identity, .def = "20", .min = 1, .max = 100000, \
		.unit = "approvals", .env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Approvals of one identity that may be pending.") \
	ROW(T, INT, denial_seconds, .def = "900", .min = 1, .max = 31536000, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How long the same action is denied after a person denied it.") \
	ROW(T, INT, max_waiting, .def = "1000", .min = 0, .max = 100000, .unit = "requests", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Requests and streams of agents that may wait for decisions.") \
	ROW(T, INT, max_waiting_per_principal, .def = "100", .min = 0, .max = 100000, .unit = "requests", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "Those of one principal.") \
	ROW(T, INT, max_wait_seconds, .def = "60", .min = 1, .max = 3600, .unit = "seconds", \
		.env = CONFIG_ENV, .flags = CONFIG_RELOAD, \
		.prose = "How long a request may be held that asks for it (Prefer: wait).") \
	ROW(T, LIST(approval_notify_section), notify, .max = APPROVAL_RECEIVERS_MAX, \
		.prose = "Who is told of each approval that is asked for.") \
	ROW(T, STRING, store_path, .env = CONFIG_ENV, .flags = CONFIG_RELOAD | CONFIG_DEPRECATED, \
		.reason = "approvals are kept in the ledger", .prose = "Not used.") \
	ROW(T, STRING, backend, .env = CONFIG_ENV, .flags = CONFIG_RELOAD | CONFIG_DEPRECATED, \
		.reason = "approvals are kept in the ledger", .prose = "Not used.")
/* clang-format on */

struct approval_relay_section {
	APPROVAL_RELAY_ROWS(CONFIG_MEMBER, approval_relay_section)
};

struct approval_relays_section {
	APPROVAL_RELAYS_ROWS(CONFIG_MEMBER, approval_relays_section)
};

struct approval_notify_section {
	APPROVAL_NOTIFY_ROWS(CONFIG_MEMBER, approval_notify_section)
};

struct approvals_section {
	APPROVALS_ROWS(CONFIG_MEMBER, approvals_section)
};

extern const struct config_object approval_relay_section_config;
extern const struct config_object approval_relays_section_config;
extern const struct config_object approval_notify_section_config;
extern const struct config_object approvals_section_config;

#endif
