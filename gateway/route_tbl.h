/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * X(METHOD, path, ROLE, ACCESS, largest body in bytes, handler): every route. On which listeners it is, who may call and how much may be
 * sent are columns, so that no handler can forget them; ACCESS zero is nobody. One segment of a path may be {id} (route_match.h): any one, which the handler
 * gets decoded; paths without it come first. openapi/nomos.v1.yaml lists the same (a test compares). Includers
 * define X.
 */
#include <stddef.h>

X(POST, "/action", API, AGENT, ACTION_BODY_BYTES_MAX, api_action)
X(POST, "/run", API, AGENT, ACTION_BODY_BYTES_MAX, api_action)
X(POST, "/explain", API, AGENT, ACTION_BODY_BYTES_MAX, api_explain)
X(POST, "/approvals/decide", API, PRINCIPAL, 16384, api_approvals_decide)
X(GET, "/approvals/{id}", API, READER, 0, api_approval)
X(GET, "/api/ui/approvals", UI, VIEWER, 0, api_ui_approvals)
X(POST, "/api/ui/approvals/decide", UI, PRINCIPAL, 16384, api_ui_approvals_decide)
X(GET, "/api/ui/approvals/{id}", UI, VIEWER, 0, api_ui_approval)
X(POST, "/webhooks/approvals", API, WEBHOOK, 16384, api_webhook)
X(POST, "/webhooks/slack/approvals", API, SLACK, 16384, api_webhook_slack)
X(POST, "/webhooks/teams/approvals", API, TEAMS, 16384, api_webhook_teams)
X(POST, "/actions/report", API, AGENT, ACTION_BODY_BYTES_MAX, api_report)
X(POST, "/admin/reload", ADMIN, OPERATOR, 16384, api_reload) /* not read: clients send {} */
X(GET, "/admin/reload", ADMIN, OPERATOR, 0, api_reload_preview)
X(GET, "/api/ui/stream", UI, VIEWER, 0, api_ui_stream)
X(POST, "/api/ui/actions/{id}/settle", UI, OPERATOR, 32768, api_settle)
X(GET, "/approvals/{id}/events", API, READER, 0, api_approval_events)
X(GET, "/healthz", HEALTH, PUBLIC, 0, api_healthz)
X(GET, "/readyz", HEALTH, PUBLIC, 0, api_readyz)
X(GET, "/metrics", METRICS, VIEWER, 0, api_metrics)
X(GET, "/version", HEALTH, PUBLIC, 0, api_version)
X(GET, "/openapi.yaml", API, PUBLIC, 0, api_openapi)
X(GET, "/ui", UI, PUBLIC, 0, api_ui_redirect)
X(GET, "/ui/", UI, PUBLIC, 0, api_ui_index)
X(GET, "/ui/{id}", UI, PUBLIC, 0, api_ui_file)
X(POST, "/api/ui/session", UI, PUBLIC, 16384, api_ui_sign_in)
X(GET, "/api/ui/session", UI, VIEWER, 0, api_ui_session)
X(DELETE, "/api/ui/session", UI, VIEWER, 0, api_ui_sign_out)
X(GET, "/api/ui/records", UI, VIEWER, 0, api_ui_records)
X(GET, "/api/ui/records/{id}", UI, VIEWER, 0, api_ui_record)
X(GET, "/api/ui/records/{id}/verify", UI, VIEWER, 0, api_ui_verify)
X(GET, "/api/ui/export", UI, VIEWER, 0, api_ui_export)
X(GET, "/api/ui/traces", UI, VIEWER, 0, api_ui_traces)
X(GET, "/api/ui/traces/{id}", UI, VIEWER, 0, api_ui_trace)
X(GET, "/api/ui/actions/{id}", UI, VIEWER, 0, api_ui_action)
X(GET, "/api/ui/readiness", UI, VIEWER, 0, api_ui_readiness)
X(GET, "/api/ui/overview", UI, VIEWER, 0, api_ui_overview)
X(GET, "/api/ui/policy", UI, VIEWER, 0, api_ui_policy)
X(GET, "/api/ui/policy/rules", UI, VIEWER, 0, api_ui_rules)
X(POST, "/api/ui/explain", UI, OPERATOR, ACTION_BODY_BYTES_MAX, api_ui_explain)
X(GET, "/api/ui/limits", UI, VIEWER, 0, api_ui_limits)
X(GET, "/api/ui/upstreams", UI, VIEWER, 0, api_ui_upstreams)
