/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * X(METHOD, path, ACCESS, largest body in bytes, handler): every route. Who may call and how much may be sent are columns, so that no
 * handler can forget them; ACCESS zero is nobody. One segment of a path may be {id} (route_match.h): any one, which the handler
 * gets decoded; paths without it come first. openapi/nomos.v1.yaml lists the same (a test compares). Includers
 * define X.
 */
#include <stddef.h>

X(POST, "/action", AGENT, ACTION_BODY_BYTES_MAX, api_action)
X(POST, "/run", AGENT, ACTION_BODY_BYTES_MAX, api_action)
X(POST, "/explain", AGENT, ACTION_BODY_BYTES_MAX, api_explain)
X(POST, "/approvals/decide", PRINCIPAL, 16384, api_approvals_decide)
X(GET, "/approvals/{id}", READER, 0, api_approval)
X(GET, "/api/ui/approvals", VIEWER, 0, api_ui_approvals)
X(POST, "/api/ui/approvals/decide", PRINCIPAL, 16384, api_ui_approvals_decide)
X(GET, "/api/ui/approvals/{id}", VIEWER, 0, api_ui_approval)
X(POST, "/webhooks/approvals", WEBHOOK, 16384, api_webhook)
X(POST, "/webhooks/slack/approvals", SLACK, 16384, api_webhook_slack)
X(POST, "/webhooks/teams/approvals", TEAMS, 16384, api_webhook_teams)
X(POST, "/actions/report", AGENT, ACTION_BODY_BYTES_MAX, api_report)
X(POST, "/admin/reload", OPERATOR, 0, api_reload)
X(GET, "/api/ui/stream", VIEWER, 0, api_ui_stream)
X(POST, "/api/ui/actions/{id}/settle", OPERATOR, 32768, api_settle)
X(GET, "/approvals/{id}/events", READER, 0, api_approval_events)
X(GET, "/healthz", PUBLIC, 0, api_healthz)
X(GET, "/readyz", PUBLIC, 0, api_readyz)
X(GET, "/version", PUBLIC, 0, api_version)
X(GET, "/openapi.yaml", PUBLIC, 0, api_openapi)
X(GET, "/ui", PUBLIC, 0, api_ui_redirect)
X(GET, "/ui/", PUBLIC, 0, api_ui_index)
X(GET, "/ui/{id}", PUBLIC, 0, api_ui_file)
X(POST, "/api/ui/session", PUBLIC, 1024, api_ui_sign_in)
X(GET, "/api/ui/session", VIEWER, 0, api_ui_session)
X(DELETE, "/api/ui/session", VIEWER, 0, api_ui_sign_out)
X(GET, "/api/ui/records", VIEWER, 0, api_ui_records)
X(GET, "/api/ui/records/{id}", VIEWER, 0, api_ui_record)
X(GET, "/api/ui/records/{id}/verify", VIEWER, 0, api_ui_verify)
X(GET, "/api/ui/export", VIEWER, 0, api_ui_export)
X(GET, "/api/ui/traces", VIEWER, 0, api_ui_traces)
X(GET, "/api/ui/traces/{id}", VIEWER, 0, api_ui_trace)
X(GET, "/api/ui/actions/{id}", VIEWER, 0, api_ui_action)
X(GET, "/api/ui/readiness", VIEWER, 0, api_ui_readiness)
X(GET, "/api/ui/overview", VIEWER, 0, api_ui_overview)
X(GET, "/api/ui/policy", VIEWER, 0, api_ui_policy)
X(GET, "/api/ui/policy/rules", VIEWER, 0, api_ui_rules)
X(POST, "/api/ui/explain", OPERATOR, ACTION_BODY_BYTES_MAX, api_ui_explain)
X(GET, "/api/ui/limits", VIEWER, 0, api_ui_limits)
X(GET, "/api/ui/upstreams", VIEWER, 0, api_ui_upstreams)
