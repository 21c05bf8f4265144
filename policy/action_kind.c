/* Copyright the nomos authors. SPDX-License-Identifier: Apache-2.0 */
/* Names of the built-in action types and of the risk flags (nomos-policy.md 2.1, 2.4). Pure; any thread. */
#include "policy/action.h"

static const char *const KIND_NAMES[ACTION_KIND__MAX] = {
	[ACTION_CUSTOM] = "",
	[ACTION_FS_READ] = "fs.read",
	[ACTION_FS_WRITE] = "fs.write",
	[ACTION_REPO_APPLY_PATCH] = "repo.apply_patch",
	[ACTION_PROCESS_EXEC] = "process.exec",
	[ACTION_NET_HTTP_REQUEST] = "net.http_request",
	[ACTION_SECRETS_CHECKOUT] = "secrets.checkout",
};

static const struct risk_row {
	enum action_risk flag;
	const char *name;
} RISKS[] = {
	{RISK_EXEC, "risk.exec"},
	{RISK_NET, "risk.net"},
	{RISK_WRITE, "risk.write"},
	{RISK_SECRETS, "risk.secrets"},
	{RISK_LARGE_IO, "risk.large_io"},
	{RISK_HIGH_FANOUT, "risk.high_fanout"},
};

enum action_kind
action_kind_of(struct span action_type)
{
	for (unsigned kind = ACTION_CUSTOM + 1; kind < ACTION_KIND__MAX; kind++) {
		if (span_eq_cstr(action_type, KIND_NAMES[kind]))
			return (enum action_kind)kind;
	}
	return ACTION_CUSTOM;
}

const char *
action_kind_name(enum action_kind kind)
{
	return (unsigned)kind < ACTION_KIND__MAX ? KIND_NAMES[kind] : "";
}

const char *
action_risk_name(enum action_risk flag)
{
	for (size_t i = 0; i < ARRAY_LEN(RISKS); i++) {
		if (RISKS[i].flag == flag)
			return RISKS[i].name;
	}
	return "";
}

uint32_t
action_risk_parse(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(RISKS); i++) {
		if (span_eq_nocase(name, span_cstr(RISKS[i].name)))
			return RISKS[i].flag;
	}
	return 0;
}

const char *
action_risk_level(uint32_t risk)
{
	if ((risk & (RISK_EXEC | RISK_SECRETS | RISK_HIGH_FANOUT)) != 0)
		return "high";
	if ((risk & (RISK_NET | RISK_WRITE | RISK_LARGE_IO)) != 0)
		return "medium";
	return "low";
}
